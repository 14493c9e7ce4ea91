package io.microsnap.memory.internal.reader;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.PopulatedRanges;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Guest memory that lies in another process, read through {@code /proc/PID/mem}: of a VMM with private anonymous RAM.
 * This process needs the right to trace that one, and the caller must stop that one from writing the memory. For RAM
 * that is a file or memfd, use {@link FileMemoryReader}.
 */
public final class ProcessMemoryReader implements PageReader, AutoCloseable {
    private static final int PERMISSIONS = 1;
    private static final int INODE = 4;

    private final GuestLayout layout;
    private final long[] addresses;
    private final boolean[] anonymous;
    private final Descriptor memory;
    private final Descriptor pagemap;

    private ProcessMemoryReader(GuestLayout layout, long[] addresses, boolean[] anonymous, Descriptor memory,
            Descriptor pagemap) {
        this.layout = layout;
        this.addresses = addresses;
        this.anonymous = anonymous;
        this.memory = memory;
        this.pagemap = pagemap;
    }

    /**
     * Opens a process's memory. It stays bound to that process, even if the process number is reused.
     *
     * @param process its number
     * @param addresses where each of the guest's regions starts in that process, on a page
     */
    public static ProcessMemoryReader open(Posix posix, long process, GuestLayout layout, List<Long> addresses)
            throws IOException {
        if (addresses.size() != layout.regions().size()) {
            throw new IllegalArgumentException(addresses.size() + " addresses for " + layout.regions().size()
                    + " regions");
        }
        Constants constants = posix.constants();
        Path directory = Path.of("/proc", Long.toString(process));
        Descriptor memory = Descriptor.open(posix, directory.resolve("mem"), constants.O_RDONLY, 0);
        try {
            Descriptor pagemap = Descriptor.open(posix, directory.resolve("pagemap"), constants.O_RDONLY, 0);
            try {
                boolean[] anonymous = new boolean[addresses.size()];
                List<String> maps = Files.readAllLines(directory.resolve("maps"));
                for (int region = 0; region < anonymous.length; region++) {
                    anonymous[region] = isAnonymous(maps, addresses.get(region),
                            layout.regions().get(region).lengthBytes());
                }
                return new ProcessMemoryReader(layout, addresses.stream().mapToLong(Long::longValue).toArray(),
                        anonymous, memory, pagemap);
            } catch (Throwable failure) {
                Closing.closeAfter(failure, pagemap);
                throw failure;
            }
        } catch (Throwable failure) {
            Closing.closeAfter(failure, memory);
            throw failure;
        }
    }

    /**
     * Returns whether memory is private and anonymous: only for that does {@code pagemap} show what was never
     * populated.
     */
    static boolean isAnonymous(List<String> maps, long address, long lengthBytes) throws SnapshotException {
        long at = address;
        long end = address + lengthBytes;
        boolean anonymous = true;
        for (String line : maps) {
            String[] fields = line.split(" +", -1);
            String[] range = fields[0].split("-", -1);
            long from = Long.parseUnsignedLong(range[0], 16);
            long to = Long.parseUnsignedLong(range[1], 16);
            if (from <= at && at < to && at < end) {
                anonymous &= fields[PERMISSIONS].endsWith("p") && fields[INODE].equals("0");
                at = to;
            }
        }
        if (at < end) {
            throw new SnapshotException("the process has no memory at 0x" + Long.toHexString(at)
                    + ", where the guest's region of " + lengthBytes + " bytes at 0x" + Long.toHexString(address)
                    + " should be");
        }
        return anonymous;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        for (long done = 0; done < destination.byteSize();) {
            int region = layout.regionAt(imageOffset + done);
            long inRegion = imageOffset + done - layout.imageOffset(region);
            long length = Math.min(destination.byteSize() - done,
                    layout.regions().get(region).lengthBytes() - inRegion);
            memory.readFully(destination.asSlice(done, length), addresses[region] + inRegion);
            done += length;
        }
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        for (long done = 0; done < lengthBytes;) {
            int region = layout.regionAt(imageOffset + done);
            long start = layout.imageOffset(region);
            long inRegion = imageOffset + done - start;
            long length = Math.min(lengthBytes - done, layout.regions().get(region).lengthBytes() - inRegion);
            if (anonymous[region]) {
                PopulatedRanges.ofProcess(pagemap, addresses[region] + inRegion, length,
                        (address, bytes) -> ranges.accept(start + (address - addresses[region]), bytes));
            } else {
                ranges.accept(imageOffset + done, length);
            }
            done += length;
        }
    }

    @Override
    public void close() throws IOException {
        try {
            pagemap.close();
        } finally {
            memory.close();
        }
    }
}
