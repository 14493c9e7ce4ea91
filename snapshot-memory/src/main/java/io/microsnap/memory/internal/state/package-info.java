/** What a machine is beside its memory: the named sections of {@code machine.bin}, written, read strictly, shown. */
package io.microsnap.memory.internal.state;
