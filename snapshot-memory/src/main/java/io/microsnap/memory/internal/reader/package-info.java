/** Readers of guest bytes that are not mapped in this process: a file, or the memory of another process. */
package io.microsnap.memory.internal.reader;
