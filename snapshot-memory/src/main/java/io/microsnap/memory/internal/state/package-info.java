/**
 * The file {@code machine.bin}: the named sections of a machine's state beside its memory. {@code MachineStateFile}
 * writes them, reads them strictly and prints an annotated hex dump.
 */
package io.microsnap.memory.internal.state;
