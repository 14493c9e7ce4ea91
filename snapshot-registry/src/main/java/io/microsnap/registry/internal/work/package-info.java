/** Threads that work for one push or pull. */
package io.microsnap.registry.internal.work;
