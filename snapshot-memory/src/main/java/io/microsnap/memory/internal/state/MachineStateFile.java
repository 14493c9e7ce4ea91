package io.microsnap.memory.internal.state;

import io.microsnap.core.DamagedException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.zip.CRC32C;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.bytes.HexDumpBytes;

/**
 * {@code machine.bin}: a machine's state sections in one file. A header names every section with its length and
 * checksum and ends with a checksum of its own; the payloads follow in the same order and fill the file to its end.
 * Numbers are little-endian.
 */
public final class MachineStateFile {
    /** More than any machine has parts; keeps a damaged count from costing memory. */
    public static final int MOST_SECTIONS = 4096;
    /** The largest file that is written or read. */
    public static final long LARGEST_FILE_BYTES = 256L << 20;

    private static final long MAGIC = 0x54415453_50414E53L; // "SNAPSTAT"
    private static final int VERSION = 1;
    private static final int FIXED_HEADER_BYTES = Long.BYTES + 2 * Integer.BYTES;
    private static final int FIXED_ENTRY_BYTES = 1 + Long.BYTES + Integer.BYTES;
    private static final int COPY_BYTES = 8 << 10;

    private MachineStateFile() {
    }

    /** Writes the sections to an empty file; names must differ from each other. */
    public static void write(List<MachineStateSection> sections, Descriptor file) throws IOException {
        long lengthBytes = check(sections);
        Bytes<ByteBuffer> bytes = Bytes.elasticByteBuffer(Math.toIntExact(lengthBytes), Math.toIntExact(lengthBytes));
        try {
            encode(sections, bytes);
            file.writeFully(MemorySegment.ofBuffer(bytes.underlyingObject()).asSlice(0, lengthBytes), 0);
        } finally {
            bytes.releaseLast();
        }
    }

    /** The sections of a file, in their order; anything but exactly what {@link #write} writes is damage. */
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

    /** The bytes that {@link #write} makes of the sections, in hexadecimal, each field with its meaning beside it. */
    public static String hexDump(List<MachineStateSection> sections) {
        check(sections);
        HexDumpBytes dump = new HexDumpBytes();
        try {
            encode(sections, dump);
            return dump.toHexString();
        } finally {
            dump.releaseLast();
        }
    }

    private static long check(List<MachineStateSection> sections) {
        if (sections.size() > MOST_SECTIONS) {
            throw new IllegalArgumentException(sections.size() + " machine state sections; a file holds up to "
                    + MOST_SECTIONS);
        }
        Set<String> names = new HashSet<>();
        long lengthBytes = FIXED_HEADER_BYTES + Integer.BYTES;
        for (MachineStateSection section : sections) {
            if (!names.add(section.name())) {
                throw new IllegalArgumentException("two machine state sections are named " + section.name());
            }
            lengthBytes += FIXED_ENTRY_BYTES + section.name().length() + section.payload().remaining();
        }
        if (lengthBytes > LARGEST_FILE_BYTES) {
            throw new IllegalArgumentException("machine state of " + lengthBytes + " bytes; a file holds up to "
                    + LARGEST_FILE_BYTES);
        }
        return lengthBytes;
    }

    /** One way out, for the file and for the dump alike. The header's checksum is of the bytes as they are written. */
    private static void encode(List<MachineStateSection> sections, Bytes<?> out) {
        CRC32C header = new CRC32C();
        out.writeHexDumpDescription("magic").writeLong(MAGIC);
        out.writeHexDumpDescription("version").writeInt(VERSION);
        out.writeHexDumpDescription("sections").writeInt(sections.size());
        update(header, MAGIC, Long.BYTES);
        update(header, VERSION, Integer.BYTES);
        update(header, sections.size(), Integer.BYTES);
        for (MachineStateSection section : sections) {
            byte[] name = section.name().getBytes(StandardCharsets.US_ASCII);
            int lengthBytes = section.payload().remaining();
            int checksum = crc32c(section.payload());
            out.writeHexDumpDescription("length of name").writeUnsignedByte(name.length);
            out.writeHexDumpDescription("name " + section.name()).write(name);
            out.writeHexDumpDescription("length of payload: " + lengthBytes).writeLong(lengthBytes);
            out.writeHexDumpDescription("checksum of payload").writeInt(checksum);
            header.update(name.length);
            header.update(name);
            update(header, lengthBytes, Long.BYTES);
            update(header, checksum, Integer.BYTES);
        }
        out.writeHexDumpDescription("checksum of header").writeInt((int) header.getValue());
        byte[] copy = new byte[COPY_BYTES];
        for (MachineStateSection section : sections) {
            ByteBuffer payload = section.payload();
            out.writeHexDumpDescription(section.name());
            while (payload.hasRemaining()) {
                int piece = Math.min(copy.length, payload.remaining());
                payload.get(copy, 0, piece);
                out.write(copy, 0, piece);
            }
        }
    }

    private static List<MachineStateSection> decode(ByteBuffer content, String file) throws DamagedException {
        Bytes<ByteBuffer> in = Bytes.wrapForRead(content);
        try {
            if (in.readLong() != MAGIC) {
                throw damaged(file, 0, "it does not start as a machine's state does");
            }
            int version = in.readInt();
            if (version != VERSION) {
                throw damaged(file, Long.BYTES, "version " + version + "; this build reads version " + VERSION);
            }
            int count = in.readInt();
            if (count < 0 || count > MOST_SECTIONS) {
                throw damaged(file, Long.BYTES + Integer.BYTES, count + " sections");
            }
            String[] names = new String[count];
            long[] lengths = new long[count];
            int[] checksums = new int[count];
            for (int index = 0; index < count; index++) {
                names[index] = readName(in, file);
                require(in, Long.BYTES + Integer.BYTES, file);
                lengths[index] = in.readLong();
                checksums[index] = in.readInt();
            }
            require(in, Integer.BYTES, file);
            int headerBytes = Math.toIntExact(in.readPosition());
            if (in.readInt() != crc32c(content.slice(0, headerBytes))) {
                throw damaged(file, headerBytes, "the header does not have its checksum");
            }
            return payloads(content, headerBytes + Integer.BYTES, names, lengths, checksums, file);
        } finally {
            in.releaseLast();
        }
    }

    private static String readName(Bytes<?> in, String file) throws DamagedException {
        require(in, 1, file);
        int length = in.readUnsignedByte();
        require(in, length, file);
        byte[] name = new byte[length];
        in.read(name);
        return new String(name, StandardCharsets.US_ASCII);
    }

    private static void require(Bytes<?> in, int lengthBytes, String file) throws DamagedException {
        if (in.readRemaining() < lengthBytes) {
            throw damaged(file, in.readPosition(), "it ends within its header");
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
                throw damaged(file, offset, "section " + index + " does not have its checksum");
            }
            if (!seen.add(names[index])) {
                throw damaged(file, offset, "two sections are named " + names[index]);
            }
            try {
                sections.add(new MachineStateSection(names[index], payload));
            } catch (IllegalArgumentException notAName) {
                throw new DamagedException(file + ": section " + index + " has no proper name", notAName);
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
