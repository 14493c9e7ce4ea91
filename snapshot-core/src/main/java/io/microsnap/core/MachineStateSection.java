package io.microsnap.core;

import java.nio.ByteBuffer;
import java.util.regex.Pattern;

/**
 * One named part of a machine's state beside its memory: a vCPU's registers, an interrupt controller, a clock.
 *
 * @param name 1 to 64 letters, digits, {@code .}, {@code _}, {@code -}, such as {@code vcpu0.registers}
 * @param payload its bytes; read-only, and always from its first byte
 */
public record MachineStateSection(String name, ByteBuffer payload) {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,64}");

    public MachineStateSection {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("'" + name + "' cannot name a machine state section");
        }
        payload = payload.slice().asReadOnlyBuffer();
    }

    /** Returns a fresh view of the bytes, with its own position. */
    @Override
    public ByteBuffer payload() {
        return payload.duplicate();
    }
}
