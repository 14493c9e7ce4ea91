/** Speaks to a registry: requests, time limits, retries, credentials, proxies. It knows blobs, and not what is in them. */
package io.microsnap.registry.internal.client;
