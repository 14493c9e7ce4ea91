package io.microsnap.memory.internal.state;

import io.microsnap.core.DamagedException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.zip.CRC32C;
import net.openhft.chronicle.bytes.HexDumpBytes;

/**
 * {@code machine.bin}: a machine's state sections in one file. A header names every section with its length and
 * checksum and ends with a checksum of its own; the payloads follow in the same order and fill the file to its end.
 * Numbers are little-endian.
 */
public final class MachineStateFile {
    /** More than any machine has; limits the memory that a damaged count could cost. */
    public static final int MOST_SECTIONS = 4096;
    /** The largest total length of a machine's payloads. */
    public static final long LARGEST_STATE_BYTES = 256L << 20;

    private static final long MAGIC = 0x54415453_50414E53L; // "SNAPSTAT"
    private static final int VERSION = 1;
    private static final int FIXED_HEADER_BYTES = Long.BYTES + 2 * Integer.BYTES;
    private static final int FIXED_ENTRY_BYTES = 1 + Long.BYTES + Integer.BYTES;
    private static final int LONGEST_NAME = 64;
    /** The length of a file with the most sections. */
    static final long LARGEST_FILE_BYTES = LARGEST_STATE_BYTES + FIXED_HEADER_BYTES + Integer.BYTES
            + (long) MOST_SECTIONS * (FIXED_ENTRY_BYTES + LONGEST_NAME);

    private MachineStateFile() {
    }

    /** Refuses with {@link IllegalArgumentException} sections that {@link #write} would refuse. */
    public static void check(List<MachineStateSection> sections) {
        long ignored = checkedLengthBytes(sections);
    }

    /** Writes the sections to an empty file; names must differ from each other. */
    public static void write(List<MachineStateSection> sections, Descriptor file) throws IOException {
        long lengthBytes = checkedLengthBytes(sections);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(lengthBytes);
            ByteBuffer bytes = content.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
            encode(sections, new Content(bytes));
            file.writeFully(content, 0);
        }
    }

    /** Returns the sections of a file, in their order; anything but exactly what {@link #write} writes is damage. */
    public static List<MachineStateSection> read(Descriptor file) throws IOException {
        long lengthBytes = file.sizeBytes();
        if (lengthBytes < FIXED_HEADER_BYTES + Integer.BYTES || lengthBytes > LARGEST_FILE_BYTES) {
            throw new DamagedException(file + ": " + lengthBytes + " bytes cannot be a machine's state, which has "
                    + (FIXED_HEADER_BYTES + Integer.BYTES) + " to " + LARGEST_FILE_BYTES);
        }
        MemorySegment content = Arena.ofAuto().allocate(lengthBytes);
        file.readFully(content, 0);
        return decode(content.asByteBuffer(), file.name());
    }

    /**
     * Returns the bytes that {@link #write} makes of the sections, in hexadecimal, each field with its meaning beside
     * it.
     */
    public static String hexDump(List<MachineStateSection> sections) {
        checkedLengthBytes(sections);
        HexDumpBytes dump = new HexDumpBytes();
        try {
            encode(sections, new Dump(dump));
            return dump.toHexString();
        } finally {
            dump.releaseLast();
        }
    }

    private static long checkedLengthBytes(List<MachineStateSection> sections) {
        if (sections.size() > MOST_SECTIONS) {
            throw new IllegalArgumentException(sections.size() + " machine state sections; a file holds up to "
                    + MOST_SECTIONS);
        }
        Set<String> names = new HashSet<>();
        long lengthBytes = FIXED_HEADER_BYTES + Integer.BYTES;
        long stateBytes = 0;
        for (MachineStateSection section : sections) {
            if (!names.add(section.name())) {
                throw new IllegalArgumentException("two machine state sections are named " + section.name());
            }
            lengthBytes += FIXED_ENTRY_BYTES + section.name().length() + section.payload().remaining();
            stateBytes += section.payload().remaining();
        }
        if (stateBytes > LARGEST_STATE_BYTES) {
            throw new IllegalArgumentException("machine state of " + stateBytes + " bytes; a file holds up to "
                    + LARGEST_STATE_BYTES);
        }
        return lengthBytes;
    }

    /** Takes the fields of a file in their order. */
    private sealed interface Fields {
        void number(String meaning, long value, int lengthBytes);

        void bytes(String meaning, ByteBuffer bytes);
    }

    /**
     * Writes the file's bytes. It does not use Chronicle, whose first use takes a tenth of a second and warns on
     * standard error.
     */
    private record Content(ByteBuffer out) implements Fields {
        @Override
        public void number(String meaning, long value, int lengthBytes) {
            for (int index = 0; index < lengthBytes; index++) {
                out.put((byte) (value >>> (8 * index)));
            }
        }

        @Override
        public void bytes(String meaning, ByteBuffer bytes) {
            out.put(bytes);
        }
    }

    /** The same in hexadecimal, for people. */
    private record Dump(HexDumpBytes out) implements Fields {
        @Override
        public void number(String meaning, long value, int lengthBytes) {
            out.writeHexDumpDescription(meaning);
            for (int index = 0; index < lengthBytes; index++) {
                out.writeUnsignedByte((int) (value >>> (8 * index)) & 0xff);
            }
        }

        @Override
        public void bytes(String meaning, ByteBuffer bytes) {
            out.writeHexDumpDescription(meaning);
            while (bytes.hasRemaining()) {
                out.writeUnsignedByte(bytes.get() & 0xff);
            }
        }
    }

    /** Encodes the sections, for the file and for the dump alike. The header's checksum covers the bytes as written. */
    private static void encode(List<MachineStateSection> sections, Fields out) {
        CRC32C header = new CRC32C();
        number(out, header, "magic", MAGIC, Long.BYTES);
        number(out, header, "version", VERSION, Integer.BYTES);
        number(out, header, "sections", sections.size(), Integer.BYTES);
        for (MachineStateSection section : sections) {
            byte[] name = section.name().getBytes(StandardCharsets.US_ASCII);
            int lengthBytes = section.payload().remaining();
            number(out, header, "length of name", name.length, 1);
            header.update(name);
            out.bytes("name " + section.name(), ByteBuffer.wrap(name));
            number(out, header, "length of payload: " + lengthBytes, lengthBytes, Long.BYTES);
            number(out, header, "checksum of payload", crc32c(section.payload()), Integer.BYTES);
        }
        out.number("checksum of header", header.getValue(), Integer.BYTES);
        for (MachineStateSection section : sections) {
            out.bytes(section.name(), section.payload());
        }
    }

    private static void number(Fields out, CRC32C header, String meaning, long value, int lengthBytes) {
        update(header, value, lengthBytes);
        out.number(meaning, value, lengthBytes);
    }

    private static List<MachineStateSection> decode(ByteBuffer content, String file) throws DamagedException {
        ByteBuffer in = content.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        if (in.getLong() != MAGIC) {
            throw damaged(file, 0, "it does not start like a machine's state");
        }
        int version = in.getInt();
        if (version != VERSION) {
            throw damaged(file, Long.BYTES, "version " + version + "; this build reads version " + VERSION);
        }
        int count = in.getInt();
        if (count < 0 || count > MOST_SECTIONS) {
            throw damaged(file, Long.BYTES + Integer.BYTES, count + " sections");
        }
        String[] names = new String[count];
        long[] lengths = new long[count];
        int[] checksums = new int[count];
        for (int index = 0; index < count; index++) {
            names[index] = readName(in, file);
            require(in, Long.BYTES + Integer.BYTES, file);
            lengths[index] = in.getLong();
            checksums[index] = in.getInt();
        }
        require(in, Integer.BYTES, file);
        int headerBytes = in.position();
        if (in.getInt() != crc32c(content.slice(0, headerBytes))) {
            throw damaged(file, headerBytes, "the header's checksum is wrong");
        }
        return payloads(content, headerBytes + Integer.BYTES, names, lengths, checksums, file);
    }

    private static String readName(ByteBuffer in, String file) throws DamagedException {
        require(in, 1, file);
        int length = in.get() & 0xff;
        require(in, length, file);
        byte[] name = new byte[length];
        in.get(name);
        return new String(name, StandardCharsets.US_ASCII);
    }

    private static void require(ByteBuffer in, int lengthBytes, String file) throws DamagedException {
        if (in.remaining() < lengthBytes) {
            throw damaged(file, in.position(), "it ends within its header");
        }
    }

    private static List<MachineStateSection> payloads(ByteBuffer content, int from, String[] names, long[] lengths,
            int[] checksums, String file) throws DamagedException {
        List<MachineStateSection> sections = new ArrayList<>(names.length);
        Set<String> seen = new HashSet<>();
        int offset = from;
        for (int index = 0; index < names.length; index++) {
            if (lengths[index] < 0 || lengths[index] > content.limit() - offset) {
                throw damaged(file, offset, "section " + index + " of " + lengths[index]
                        + " bytes reaches past the end of the file");
            }
            ByteBuffer payload = content.slice(offset, (int) lengths[index]);
            if (crc32c(payload.duplicate()) != checksums[index]) {
                throw damaged(file, offset, "the checksum of section " + index + " is wrong");
            }
            if (!seen.add(names[index])) {
                throw damaged(file, offset, "two sections are named " + names[index]);
            }
            try {
                sections.add(new MachineStateSection(names[index], payload));
            } catch (IllegalArgumentException notAName) {
                throw new DamagedException(file + ": section " + index + " has an invalid name", notAName);
            }
            offset += (int) lengths[index];
        }
        if (offset != content.limit()) {
            throw damaged(file, offset, content.limit() - offset + " bytes follow the last section");
        }
        return List.copyOf(sections);
    }

    private static DamagedException damaged(String file, long offset, String what) {
        return new DamagedException(String.format(Locale.ROOT, "%s: at byte %d: %s", file, offset, what));
    }

    private static int crc32c(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private static void update(CRC32C crc, long value, int lengthBytes) {
        for (int index = 0; index < lengthBytes; index++) {
            crc.update((int) (value >>> (8 * index)) & 0xff);
        }
    }
}
