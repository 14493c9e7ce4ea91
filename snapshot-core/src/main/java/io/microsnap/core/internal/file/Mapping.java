package io.microsnap.core.internal.file;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;

/**
 * Memory mapped into this process: anonymous, a memfd, or a file. It takes no swap reservation. Out of bounds and use
 * after closing are exceptions. It is unmapped by {@link #close}, or by the last {@link #hold} on it if that is closed
 * later, and by nothing else.
 *
 * <p>A length need not be a multiple of the page size: the segment is exactly as long as asked. Reading and writing is
 * for any thread.
 */
public final class Mapping implements AutoCloseable {
    private final Posix posix;
    private final String name;
    private final long address;
    private final long mappedBytes;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;
    private final Backing backing;
    private final ProcessPageTable pageTable;
    private final Overlays overlays = new Overlays();
    private final AsynchronousProtection protection;
    // Caches the length check: layers come from few files in many runs, and an fstat for each run would cost too much.
    private Descriptor lastOverlaid;
    private long lastOverlaidBytes;
    private Optional<MappingBudget.Share> share = Optional.empty();
    private int holds;
    private boolean closed;

    private Mapping(Posix posix, String name, long address, long lengthBytes, long mappedBytes, Backing backing) {
        this.posix = posix;
        this.name = name;
        this.address = address;
        this.mappedBytes = mappedBytes;
        this.backing = backing;
        pageTable = new ProcessPageTable(posix);
        protection = new AsynchronousProtection(new long[] {address}, new long[] {mappedBytes});
        segment = view(address, lengthBytes, arena, backing.readOnly());
    }

    /** Returns new memory of zeros. Pages are allocated when they are first written. */
    public static Mapping anonymous(Posix posix, long lengthBytes, HugePages hugePages) throws IOException {
        String name = "anonymous memory of " + lengthBytes + " bytes";
        Constants constants = posix.constants();
        long unit = posix.getpagesize();
        if (hugePages == HugePages.RESERVED) {
            // Only a file in the huge page pool tells the size of its pages.
            try (Descriptor probe = memfd(posix, "probe", hugePages)) {
                unit = reservedPageBytes(probe);
            }
            checkMultiple(lengthBytes, unit);
        }
        return map(posix, name, lengthBytes, unit, constants.PROT_READ | constants.PROT_WRITE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS, hugePages, -1, 0, new Backing.Anonymous(hugePages));
    }

    /**
     * Returns new memory of zeros behind a descriptor, which other mappings and processes may share. Its length is
     * sealed, so that it cannot be truncated. Closing the mapping closes {@link #descriptor()}.
     *
     * @param name shown in {@code /proc} and in messages
     */
    public static Mapping memfd(Posix posix, String name, long lengthBytes, HugePages hugePages) throws IOException {
        checkLength(lengthBytes);
        Constants constants = posix.constants();
        Descriptor memfd = memfd(posix, name, hugePages);
        try {
            long unit = posix.getpagesize();
            if (hugePages == HugePages.RESERVED) {
                unit = reservedPageBytes(memfd);
                checkMultiple(lengthBytes, unit);
            }
            memfd.truncate(lengthBytes);
            memfd.check("fcntl F_ADD_SEALS", posix.fcntl(memfd.number(), constants.F_ADD_SEALS,
                    constants.F_SEAL_SHRINK | constants.F_SEAL_GROW), "");
            return map(posix, memfd.name(), lengthBytes, unit, constants.PROT_READ | constants.PROT_WRITE,
                    constants.MAP_SHARED, hugePages, memfd.number(), 0, new Backing.Memfd(memfd));
        } catch (Throwable failure) {
            try (memfd) {
                throw failure;
            }
        }
    }

    /**
     * Maps a range of a file. The file must reach to the end of the range; it may end inside the last page. The caller
     * keeps the descriptor, and must keep it open because {@link #populated} queries it.
     *
     * @param fileOffset a multiple of the host's page size
     */
    public static Mapping file(Descriptor file, long fileOffset, long lengthBytes, Access access) throws IOException {
        Posix posix = file.posix();
        Constants constants = posix.constants();
        checkLength(lengthBytes);
        PopulatedRanges.checkRange(fileOffset, lengthBytes);
        checkPageBoundary(posix, "file offset", fileOffset);
        boolean sealed = checkReaches(file, fileOffset, lengthBytes);
        int protection = access == Access.SHARED_READ
                ? constants.PROT_READ
                : constants.PROT_READ | constants.PROT_WRITE;
        int flags = access == Access.PRIVATE ? constants.MAP_PRIVATE : constants.MAP_SHARED;
        return map(posix, file.name(), lengthBytes, posix.getpagesize(), protection, flags, HugePages.NONE,
                file.number(), fileOffset, new Backing.File(file, new DataRanges(file), fileOffset, access, sealed));
    }

    /** Returns the memory, exactly as long as requested; read-only where the access is. */
    public MemorySegment segment() {
        return segment;
    }

    /** Returns the address at which the memory starts in this process, for interfaces that take addresses. */
    public long address() {
        return segment.address();
    }

    /** Returns the requested length. */
    public long lengthBytes() {
        return segment.byteSize();
    }

    /** Returns the name of this memory in messages. */
    public String name() {
        return name;
    }

    /** Returns the memfd behind this memory, if it is one. It is closed with the mapping. */
    public Optional<Descriptor> descriptor() {
        return backing instanceof Backing.Memfd memfd ? Optional.of(memfd.descriptor()) : Optional.empty();
    }

    /**
     * Returns whether another process may shorten the file behind this memory. Java code that then reads it gets an
     * exception, but native code (a checksum of the JDK, {@code memcmp}) kills the process: copy the bytes first, for
     * instance into {@link PageScratch}.
     */
    public synchronized boolean mayBeTruncated() {
        return backing.mayBeTruncated() || !overlays.isEmpty();
    }

    /**
     * Gives every page that the range touches memory of its own, so that later accesses do not wait. Where the platform
     * or the kernel cannot do so, the first touch of a page still waits.
     */
    public void populate(long offset, long lengthBytes) throws IOException {
        checkInside(offset, lengthBytes);
        long start = offset - offset % posix.getpagesize();
        advise(start, offset + lengthBytes - start, Advice.POPULATE_WRITE);
    }

    /**
     * Gives the kernel advice about a range, and returns whether the kernel took it. Where the platform or the kernel
     * does not know the advice, nothing happens.
     *
     * @param offset a multiple of the host's page size
     */
    public synchronized boolean advise(long offset, long lengthBytes, Advice advice) throws IOException {
        checkInside(offset, lengthBytes);
        checkPageBoundary(posix, "offset", offset);
        return advised(offset, lengthBytes, advice);
    }

    private boolean advised(long offset, long lengthBytes, Advice advice) throws IOException {
        Constants constants = posix.constants();
        int number = advice.number(constants);
        if (number == 0 && advice != Advice.NORMAL) {
            return false;
        }
        while (true) {
            int result = posix.madvise(address + offset, lengthBytes, number);
            if (result >= 0) {
                return true;
            }
            if (constants.failedWith(result, Errno.EINVAL)) {
                return false;
            }
            if (!constants.failedWith(result, Errno.EINTR)) {
                throw SystemCallException.of(posix, result, "madvise " + advice, name,
                        "of " + lengthBytes + " bytes at " + offset);
            }
        }
    }

    /**
     * Lays a private mapping of a file's range over this memory: the file's bytes replace what was there, and later
     * writes stay in this mapping. The descriptor must stay open because {@link #populated} queries it. If this fails,
     * what the range holds is undefined; close the mapping.
     *
     * @param at where in this mapping: a multiple of the host's page size
     * @param fileOffset a multiple of the host's page size
     * @param lengthBytes a multiple of the host's page size, unless it reaches to the end of this mapping
     */
    public synchronized void overlay(long at, Descriptor file, long fileOffset, long lengthBytes) throws IOException {
        checkLength(lengthBytes);
        checkInside(at, lengthBytes);
        PopulatedRanges.checkRange(fileOffset, lengthBytes);
        checkPageBoundary(posix, "offset", at);
        checkPageBoundary(posix, "file offset", fileOffset);
        if (at + lengthBytes < lengthBytes()) {
            checkPageBoundary(posix, "length", lengthBytes);
        }
        if (!backing.mayBeOverlaid()) {
            throw new IllegalStateException(name + " cannot be overlaid: it is shared, or made of reserved huge pages");
        }
        if (file != lastOverlaid || fileOffset + lengthBytes > lastOverlaidBytes) {
            checkReaches(file, fileOffset, lengthBytes);
            lastOverlaid = file;
            lastOverlaidBytes = file.sizeBytes();
        }
        Constants constants = posix.constants();
        long result = posix.mmap(address + at, lengthBytes, constants.PROT_READ | constants.PROT_WRITE,
                constants.MAP_PRIVATE | constants.MAP_FIXED | constants.MAP_NORESERVE, file.number(), fileOffset);
        if (result < 0) {
            throw SystemCallException.of(posix, result, "mmap", file.name(),
                    "of " + lengthBytes + " bytes at " + fileOffset + " over " + name + " at " + at
                            + (constants.failedWith(result, Errno.ENOMEM) ? " (the process may have used up its"
                            + " mappings: raise vm.max_map_count)" : ""));
        }
        overlays.add(at, lengthBytes, file, fileOffset);
    }

    /**
     * Names the ranges that may hold anything but zeros, as offsets into this mapping, clipped to the given range. The
     * other ranges are zero, and reading them would allocate them.
     *
     * @param offset a multiple of the host's page size
     */
    public synchronized void populated(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        checkInside(offset, lengthBytes);
        checkPageBoundary(posix, "offset", offset);
        if (lengthBytes == 0) {
            return;
        }
        if (lengthBytes <= backing.longestResidentBytes() && pageTable.isResident(address + offset, lengthBytes)) {
            ranges.accept(offset, lengthBytes);
        } else {
            backing.populated(pageTable, segment.asSlice(offset, lengthBytes), offset, overlays, ranges);
        }
    }

    /**
     * Names the pages of a private file mapping that were written since they were mapped, as offsets into this mapping.
     * Where the system cannot tell, this names everything.
     *
     * @param offset a multiple of the host's page size
     */
    public synchronized void written(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        checkInside(offset, lengthBytes);
        checkPageBoundary(posix, "offset", offset);
        if (!(backing instanceof Backing.File file) || file.access() != Access.PRIVATE) {
            throw new IllegalStateException(name + " is not a private mapping of a file");
        }
        if (lengthBytes > 0) {
            PopulatedRanges.writtenPrivately(pageTable, segment.asSlice(offset, lengthBytes),
                    (at, length) -> ranges.accept(offset + at, length));
        }
    }

    /**
     * Maps every page of a range for reading, and reads in the missing ones, before it returns. Returns false where the
     * kernel cannot. Other calls do not wait for it: take a {@link #hold} first, so that the mapping stays.
     *
     * @param offset a multiple of the host's page size
     */
    public boolean populateForReading(long offset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(offset, lengthBytes, lengthBytes());
        checkPageBoundary(posix, "offset", offset);
        return advised(offset, lengthBytes, Advice.POPULATE_READ);
    }

    /**
     * Names the pages that are mapped at this moment, as offsets into this mapping. If the kernel does not map
     * neighbours together with a page, these are the pages that were touched.
     */
    public synchronized void mapped(RangeConsumer ranges) throws IOException {
        requireOpen();
        PopulatedRanges.present(pageTable, segment, ranges);
    }

    /**
     * Names the pages of a range that are in memory, if only in the page cache, as offsets into this mapping. For a
     * file that this process may not write, the kernel reports every page; where the kernel cannot tell, this names
     * every page, too.
     *
     * @param offset a multiple of the host's page size
     */
    public synchronized void resident(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        checkInside(offset, lengthBytes);
        checkPageBoundary(posix, "offset", offset);
        pageTable.resident(address + offset, lengthBytes, (at, length) -> ranges.accept(at - address, length));
    }

    /** Returns the registration for asynchronous write protection, which all watchers of this memory share. */
    public AsynchronousProtection protection() {
        return protection;
    }

    /** Takes over the budget share that was spent on overlays, and returns it when the overlays are gone. */
    public synchronized void owns(MappingBudget.Share spent) {
        requireOpen();
        share = Optional.of(spent);
    }

    /** Keeps the memory at its address until the hold is closed: see {@link GuestMemory#hold}. */
    public synchronized GuestMemory.Hold hold() {
        requireOpen();
        holds++;
        return new MappingHold();
    }

    /** Throws if the mapping is closed. */
    public synchronized void requireOpen() {
        if (closed) {
            throw new IllegalStateException(name + " is closed");
        }
    }

    /**
     * Makes the memory unusable and closes its memfd. The mapping ends, unless something holds it. A second call does
     * nothing.
     *
     * @throws IllegalStateException if a system call is using the memory; the mapping is then still open
     */
    @Override
    public synchronized void close() throws IOException {
        if (closed) {
            return;
        }
        arena.close();
        closed = true;
        try {
            if (holds == 0) {
                unmap();
            }
        } finally {
            try {
                backing.close();
            } finally {
                pageTable.close();
            }
        }
    }

    @Override
    public String toString() {
        return name;
    }

    private void unmap() throws IOException {
        share.ifPresent(MappingBudget.Share::leaving);
        int result = posix.munmap(address, mappedBytes);
        if (result < 0) {
            throw SystemCallException.of(posix, result, "munmap", name, "of " + mappedBytes + " bytes");
        }
        share.ifPresent(MappingBudget.Share::close);
    }

    private final class MappingHold implements GuestMemory.Hold {
        private boolean released;

        @Override
        public void close() throws IOException {
            synchronized (Mapping.this) {
                if (!released) {
                    released = true;
                    holds--;
                    if (closed && holds == 0) {
                        unmap();
                    }
                }
            }
        }
    }

    private static Mapping map(Posix posix, String name, long lengthBytes, long unit, int protection, int flags,
            HugePages hugePages, int descriptor, long fileOffset, Backing backing) throws IOException {
        checkLength(lengthBytes);
        Constants constants = posix.constants();
        long mappedBytes = PopulatedRanges.roundUp(lengthBytes, unit);
        int all = flags | switch (hugePages) {
            // Reserves from the pool now: without that, a fault that finds the pool empty kills the process.
            case RESERVED -> descriptor < 0 ? constants.MAP_HUGETLB : 0;
            case NONE, TRANSPARENT -> constants.MAP_NORESERVE;
        };
        long address = hugePages == HugePages.TRANSPARENT
                ? mapAligned(posix, mappedBytes, protection, all, descriptor, fileOffset)
                : posix.mmap(0, mappedBytes, protection, all, descriptor, fileOffset);
        if (address < 0) {
            String remedy = hugePages == HugePages.RESERVED
                    ? " of reserved huge pages of " + unit + " bytes (vm.nr_hugepages says how many there are)"
                    : "";
            throw SystemCallException.of(posix, address, "mmap", name,
                    "of " + lengthBytes + " bytes at " + fileOffset + remedy);
        }
        Mapping mapping = new Mapping(posix, name, address, lengthBytes, mappedBytes, backing);
        try {
            if (hugePages == HugePages.TRANSPARENT) {
                mapping.advise(0, lengthBytes, Advice.HUGE_PAGES);
            }
            return mapping;
        } catch (Throwable failure) {
            try (mapping) {
                throw failure;
            }
        }
    }

    /** Maps memory at a huge page's boundary: otherwise its first part cannot consist of huge pages. */
    private static long mapAligned(Posix posix, long mappedBytes, int protection, int flags, int descriptor,
            long fileOffset) {
        Constants constants = posix.constants();
        long page = posix.getpagesize();
        // A huge page has the size that one page table maps.
        long hugePage = page * (page / Long.BYTES);
        long reserved = mappedBytes + hugePage;
        long start = posix.mmap(0, reserved, constants.PROT_NONE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_NORESERVE, -1, 0);
        if (start < 0) {
            return start;
        }
        long aligned = PopulatedRanges.roundUp(start, hugePage);
        long result = posix.mmap(aligned, mappedBytes, protection, flags | constants.MAP_FIXED, descriptor,
                fileOffset);
        if (result < 0) {
            posix.munmap(start, reserved);
            return result;
        }
        if (aligned > start) {
            posix.munmap(start, aligned - start);
        }
        if (start + reserved > aligned + mappedBytes) {
            posix.munmap(aligned + mappedBytes, start + reserved - aligned - mappedBytes);
        }
        return result;
    }

    private static Descriptor memfd(Posix posix, String name, HugePages hugePages) throws IOException {
        Constants constants = posix.constants();
        int flags = constants.MFD_CLOEXEC | constants.MFD_ALLOW_SEALING
                | (hugePages == HugePages.RESERVED ? constants.MFD_HUGETLB : 0);
        // Hardened hosts require non-executable memfds; kernels before 6.3 do not know the flag.
        int result = createMemfd(posix, name, flags | constants.MFD_NOEXEC_SEAL);
        if (constants.failedWith(result, Errno.EINVAL)) {
            result = createMemfd(posix, name, flags);
        }
        if (result < 0) {
            throw SystemCallException.of(posix, result, "memfd_create", "memfd " + name, "");
        }
        return Descriptor.adopt(posix, result, "memfd " + name);
    }

    private static int createMemfd(Posix posix, String name, int flags) {
        while (true) {
            int result = posix.memfd_create(name, flags);
            if (!posix.constants().failedWith(result, Errno.EINTR)) {
                return result;
            }
        }
    }

    private static long reservedPageBytes(Descriptor memfd) throws IOException {
        return memfd.fileSystem().blockSizeBytes();
    }

    /** Returns whether the file's length is sealed, once it is known to be long enough. */
    private static boolean checkReaches(Descriptor file, long fileOffset, long lengthBytes) throws IOException {
        Posix posix = file.posix();
        Constants constants = posix.constants();
        Stat status = file.status();
        long reach = PopulatedRanges.roundUp(status.sizeBytes(), posix.getpagesize());
        if (status.isRegularFile() && fileOffset + lengthBytes > reach) {
            throw new SnapshotException(file.name() + " has " + status.sizeBytes() + " bytes; " + lengthBytes
                    + " bytes at " + fileOffset + " cannot be mapped: the file is shorter than expected");
        }
        if (constants.F_GET_SEALS == 0) {
            return false;
        }
        int seals = posix.fcntl(file.number(), constants.F_GET_SEALS, 0);
        return seals >= 0 && (seals & constants.F_SEAL_SHRINK) != 0;
    }

    private void checkInside(long offset, long lengthBytes) {
        Objects.checkFromIndexSize(offset, lengthBytes, lengthBytes());
        requireOpen();
    }

    private static void checkLength(long lengthBytes) {
        if (lengthBytes <= 0) {
            throw new IllegalArgumentException("nothing can be mapped with a length of " + lengthBytes + " bytes");
        }
    }

    private static void checkMultiple(long lengthBytes, long unit) {
        if (lengthBytes % unit != 0) {
            throw new IllegalArgumentException("a length of " + lengthBytes + " bytes is no multiple of the reserved"
                    + " huge pages' size of " + unit + " bytes");
        }
    }

    private static void checkPageBoundary(Posix posix, String what, long value) {
        if (value % posix.getpagesize() != 0) {
            throw new IllegalArgumentException(what + " " + value + " is no multiple of the page size of "
                    + posix.getpagesize() + " bytes");
        }
    }

    @SuppressWarnings("restricted")
    private static MemorySegment view(long address, long lengthBytes, Arena arena, boolean readOnly) {
        MemorySegment segment = MemorySegment.ofAddress(address).reinterpret(lengthBytes, arena, null);
        return readOnly ? segment.asReadOnly() : segment;
    }
}
