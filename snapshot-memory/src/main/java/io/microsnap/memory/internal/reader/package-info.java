/**
 * Readers of guest bytes that this process has not mapped: {@code FileMemoryReader} reads a RAM file of a VMM,
 * {@code ProcessMemoryReader} the memory of another process.
 */
package io.microsnap.memory.internal.reader;
