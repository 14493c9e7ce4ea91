package io.microsnap.hvf;

import io.microsnap.core.DamagedException;
import io.microsnap.core.MachineStateSection;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** System registers and their values, stored in a section as pairs of identifier and value. */
final class RegisterList {
    private static final int ENTRY_BYTES = Integer.BYTES + Long.BYTES;

    private final Map<SystemRegister, Long> values;

    private RegisterList(Map<SystemRegister, Long> values) {
        this.values = values;
    }

    /** Reads one register, if the system has it. */
    @FunctionalInterface
    interface Reader {
        Optional<Long> read(SystemRegister register) throws IOException;
    }

    /** Takes one register. */
    @FunctionalInterface
    interface Writer {
        void write(SystemRegister register, long value) throws IOException;
    }

    /** Reads all registers, and names those that the running system lacks. */
    static RegisterList read(List<SystemRegister> registers, Reader reader, Set<String> omitted) throws IOException {
        Map<SystemRegister, Long> values = new LinkedHashMap<>();
        for (SystemRegister register : registers) {
            Optional<Long> value = reader.read(register);
            if (value.isPresent()) {
                values.put(register, value.get());
            } else {
                omitted.add(register.name());
            }
        }
        return new RegisterList(values);
    }

    /** Reads a section, which may hold these registers, each once, and no others. */
    static RegisterList decode(MachineStateSection section, List<SystemRegister> known) throws DamagedException {
        ByteBuffer bytes = section.payload().order(ByteOrder.LITTLE_ENDIAN);
        if (bytes.remaining() % ENTRY_BYTES != 0 || bytes.remaining() > known.size() * ENTRY_BYTES) {
            throw new DamagedException("machine state section " + section.name() + " has " + bytes.remaining()
                    + " bytes, which is no list of at most " + known.size() + " registers");
        }
        Map<Integer, Long> found = new LinkedHashMap<>();
        while (bytes.hasRemaining()) {
            int id = bytes.getInt();
            if (found.put(id, bytes.getLong()) != null) {
                throw new DamagedException("machine state section " + section.name() + " has register 0x"
                        + Integer.toHexString(id) + " twice");
            }
        }
        // In loading order, whatever the order in the section.
        Map<SystemRegister, Long> values = new LinkedHashMap<>();
        Set<Integer> unknown = new HashSet<>(found.keySet());
        for (SystemRegister register : known) {
            if (unknown.remove((int) register.id())) {
                values.put(register, found.get((int) register.id()));
            }
        }
        if (!unknown.isEmpty()) {
            throw new DamagedException("machine state section " + section.name() + " has register 0x"
                    + Integer.toHexString(unknown.iterator().next()) + ", which does not belong there");
        }
        return new RegisterList(values);
    }

    ByteBuffer encode() {
        ByteBuffer bytes = ByteBuffer.allocate(values.size() * ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        values.forEach((register, value) -> bytes.putInt(register.id()).putLong(value));
        return bytes.flip();
    }

    /** Passes the registers to the writer one by one, in order. */
    void forEach(Writer writer) throws IOException {
        for (Map.Entry<SystemRegister, Long> entry : values.entrySet()) {
            writer.write(entry.getKey(), entry.getValue());
        }
    }

    Optional<Long> value(SystemRegister register) {
        return Optional.ofNullable(values.get(register));
    }
}
