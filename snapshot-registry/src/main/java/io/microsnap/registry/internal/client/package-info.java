/** Speaks to a registry: requests, time limits, retries, credentials, proxies. It knows nothing of what is in blobs. */
package io.microsnap.registry.internal.client;
