/** Work that threads do beside a push or pull. */
package io.microsnap.registry.internal.work;
