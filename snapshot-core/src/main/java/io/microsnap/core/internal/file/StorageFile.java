package io.microsnap.core.internal.file;

import io.microsnap.core.IoMode;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.StorageOptions.Existing;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.core.internal.posix.IoVectors;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.PathNames;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A regular file or a block device as storage: positioned reads and writes of any alignment, zeroes, space, size;
 * through the page cache or past it. Opening a file does not change it, unless the options create or empty it.
 *
 * <p>When a call returns, the operating system has the written bytes; after {@link #sync} they are durable. Any number
 * of threads may use one file. Overlapping writes, zeroes, discards and changes of size are serialized. A write that
 * fails may have changed a part of its range and nothing else.
 */
public final class StorageFile implements AutoCloseable {
    /** Ranges are locked in pages: the page cache, too, takes one write to a page at a time. */
    private static final long LEAST_LOCKED_BYTES = 4096;
    private static final long ZEROS_BYTES = 1L << 20;
    private static final long ANYWHERE = Long.MAX_VALUE;

    private final Descriptor file;
    private final boolean ownsFile;
    private final Optional<Path> path;
    private final StorageOptions options;
    private final boolean device;
    private final Alignments alignments;
    private final Lane cached;
    private final Optional<Lane> direct;
    private final Optional<Bounce> bounce;
    private final RangeLocks locks = new RangeLocks();
    private final AtomicLong sizeBytes;
    private final AtomicBoolean closed = new AtomicBoolean();
    /** Abilities that the file turned out to lack. */
    private final Set<Ability> lacking = ConcurrentHashMap.newKeySet();

    private enum Ability {
        PUNCH, ZERO_RANGE, ALLOCATE, DEVICE_ZERO, DEVICE_DISCARD
    }

    private StorageFile(Descriptor file, boolean ownsFile, Optional<Path> path, StorageOptions options)
            throws IOException {
        this.file = file;
        this.ownsFile = ownsFile;
        this.path = path;
        this.options = options;
        Stat status = file.status();
        requireStorage(file.name(), status);
        device = status.isBlockDevice();
        sizeBytes = new AtomicLong(sizeOf(file, status));
        // Reads that bypass the cache would leave the kernel's read-ahead in it.
        boolean passes = options.mode() == IoMode.UNCACHED && options.writable()
                && passesThroughCache(file, sizeBytes.get());
        // Files of a filesystem in memory live in the page cache.
        boolean inMemory = !device && options.mode() == IoMode.UNCACHED
                && file.fileSystem().type() == FileSystemStat.TMPFS;
        cached = new Lane(file, passes ? file.posix().constants().RWF_DONTCACHE : 0, 1);
        if (options.mode() == IoMode.CACHED || passes || inMemory) {
            alignments = Alignments.NONE;
            direct = Optional.empty();
            bounce = Optional.empty();
        } else {
            alignments = Alignments.ofDirect(file, status, device ? BlockDevices.sectorBytes(file) : 0);
            direct = Optional.of(new Lane(openDirect(file, status, options.writable()), 0,
                    alignments.requestBytes()));
            bounce = Optional.of(new Bounce(direct.get(), cached));
        }
    }

    /** Opens or makes a file, or opens a block device, which no other program may have in use. */
    public static StorageFile open(Posix posix, Path path, StorageOptions options) throws IOException {
        Constants constants = posix.constants();
        Stat found = new Stat();
        long result = look(posix, path, found);
        boolean exists = result >= 0;
        if (!exists && (!constants.failedWith(result, Errno.ENOENT) || options.existing() == Existing.REQUIRED)) {
            throw SystemCallException.of(posix, result, "fstatat", path.toString(), "");
        }
        if (exists) {
            if (options.existing() == Existing.REFUSED) {
                throw new FileAlreadyExistsException(path.toString(), null, "a file is there already");
            }
            // Checked before opening, because opening some devices has effects.
            requireStorage(path.toString(), found);
        }
        int flags = (options.writable() ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK;
        if (exists && found.isBlockDevice()) {
            flags |= constants.O_EXCL;
        } else if (options.existing() == Existing.REFUSED) {
            flags |= constants.O_CREAT | constants.O_EXCL;
        } else if (options.existing() == Existing.OVERWRITTEN) {
            flags |= constants.O_CREAT;
        }
        Descriptor file = Descriptor.open(posix, path, flags, StagedFile.PRIVATE);
        try {
            Stat status = file.status();
            if (exists && !status.sameFile(found)) {
                throw new SnapshotException(path + " was replaced by another file while it was being opened; retry");
            }
            if (options.existing() == Existing.OVERWRITTEN && status.isRegularFile()) {
                file.truncate(0);
            }
            return new StorageFile(file, true, Optional.of(path.toAbsolutePath()), options);
        } catch (Throwable failure) {
            closeAfter(failure, file);
            throw failure;
        }
    }

    /** Returns whether a path leads to a block device. */
    public static boolean isDevice(Posix posix, Path path) {
        Stat found = new Stat();
        return look(posix, path, found) >= 0 && found.isBlockDevice();
    }

    private static long look(Posix posix, Path path, Stat found) {
        while (true) {
            long result = posix.fstatat(posix.constants().AT_FDCWD, PathNames.of(path), found, 0);
            if (!posix.constants().failedWith(result, Errno.EINTR)) {
                return result;
            }
        }
    }

    /** Uses an open file; closing this leaves the file open. It must be open as the options say. */
    public static StorageFile over(Descriptor file, StorageOptions options) throws IOException {
        return new StorageFile(file, false, Optional.empty(), options);
    }

    /** Refuses what is neither a file nor a block device. */
    static void requireStorage(String name, Stat status) throws IOException {
        if (status.isDirectory()) {
            throw new FileSystemException(name, null, "it is a directory, and a file or a block device is wanted");
        }
        if (!status.isRegularFile() && !status.isBlockDevice()) {
            throw new SnapshotException(name + " is neither a file nor a block device; name a file, or a device such"
                    + " as /dev/sdb");
        }
    }

    /** Returns how long an open file or block device is. */
    public static long sizeOf(Descriptor file) throws IOException {
        return sizeOf(file, file.status());
    }

    private static long sizeOf(Descriptor file, Stat status) throws IOException {
        return status.isBlockDevice() ? BlockDevices.sizeBytes(file) : status.sizeBytes();
    }

    /**
     * Returns whether transfers can pass through the page cache and leave nothing there. The test reads at the file's
     * end, so it reads nothing.
     */
    private static boolean passesThroughCache(Descriptor file, long end) {
        Posix posix = file.posix();
        int flag = posix.constants().RWF_DONTCACHE;
        if (flag == 0) {
            return false;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment one = IoVectors.of(arena, List.of(arena.allocate(1))).next(1);
            return file.uninterrupted(() -> posix.preadv2(file.number(), one, end, flag)) >= 0;
        }
    }

    private static Descriptor openDirect(Descriptor file, Stat status, boolean writable) throws IOException {
        Constants constants = file.posix().constants();
        if (constants.operatingSystem() == OperatingSystem.MACOS) {
            file.check("fcntl(F_NOCACHE)", file.uninterrupted(
                    () -> file.posix().fcntl(file.number(), constants.F_NOCACHE, 1)), "");
            return file;
        }
        if (status.tellsDirectAlignment() && status.directOffsetBytes() == 0) {
            throw noDirectIo(file, null);
        }
        try {
            return file.reopened((writable ? constants.O_RDWR : constants.O_RDONLY) | constants.O_DIRECT
                    | constants.O_NONBLOCK);
        } catch (NoSuchFileException noNames) {
            throw new SnapshotException(file + " cannot be opened for direct I/O: /proc is not mounted; mount it, or"
                    + " use cached I/O", noNames);
        } catch (SystemCallException failure) {
            boolean none = failure.errno() == Errno.EINVAL || Extents.UNSUPPORTED.contains(failure.errno());
            throw none ? noDirectIo(file, failure) : failure;
        }
    }

    private static SnapshotException noDirectIo(Descriptor file, Throwable cause) {
        return new SnapshotException(file + ": the filesystem takes no direct I/O on it; use cached I/O, or put it on"
                + " ext4, XFS or btrfs", cause);
    }

    /** Returns the alignments of requests that are passed on unchanged. Other requests cost a copy. */
    public Alignments alignments() {
        return alignments;
    }

    /** Returns the open file, for calls that this class does not offer. */
    public Descriptor descriptor() {
        return file;
    }

    public boolean isDevice() {
        return device;
    }

    /** Returns whether writes to different places may be under way at once; the page cache takes one at a time. */
    public boolean takesWritesAtOnce() {
        return direct.isPresent();
    }

    /** Returns the length after all changes made through this object. */
    public long sizeBytes() {
        return sizeBytes.get();
    }

    /** Returns the path of a name that is relative to the file. */
    public Path resolve(String relative) throws IOException {
        Path own = path.orElseThrow(() -> new SnapshotException(file + " was passed as an open file without a path,"
                + " so " + relative + " beside it cannot be found; name it absolutely"));
        return own.resolveSibling(relative);
    }

    /** Fills a buffer; bytes past the end of the file are zeros. */
    public void read(MemorySegment buffer, long offset) throws IOException {
        read(List.of(buffer), offset);
    }

    /** Fills buffers, one after another; bytes past the end of the file are zeros. */
    public void read(List<MemorySegment> buffers, long offset) throws IOException {
        long length = Lane.lengthBytes(buffers);
        Extents.requireRange(file, offset, length);
        long read = !isTaken(buffers, offset) ? bounce.orElseThrow().read(buffers, offset, length)
                : direct.orElse(cached).read(buffers, offset);
        if (read < length) {
            requireEnd(offset + read);
            Bounce.zeroFrom(buffers, read, length - read);
        }
    }

    /** Throws if the file has become shorter. */
    private void requireEnd(long end) throws IOException {
        if (end < sizeBytes.get()) {
            long now = sizeOf(file);
            if (now < sizeBytes.get() || end < now) {
                throw new SnapshotException(file + " had " + sizeBytes + " bytes and ends at " + Math.min(end, now)
                        + " now: another process shortened it while it was in use");
            }
        }
    }

    /** Writes a buffer. */
    public void write(MemorySegment buffer, long offset) throws IOException {
        write(List.of(buffer), offset);
    }

    /** Writes buffers, one after another. A file grows as needed, to no more than the end of the written range. */
    public void write(List<MemorySegment> buffers, long offset) throws IOException {
        long length = Lane.lengthBytes(buffers);
        long end = requireWritable(offset, length);
        if (length == 0) {
            return;
        }
        try (RangeLocks.Range _ = hold(offset, end)) {
            put(buffers, offset, end);
        }
    }

    private void put(List<MemorySegment> buffers, long offset, long end) throws IOException {
        try {
            if (isTaken(buffers, offset)) {
                direct.orElse(cached).write(buffers, offset);
            } else {
                bounce.orElseThrow().write(buffers, offset, end - offset, sizeBytes.get());
            }
            sizeBytes.accumulateAndGet(end, Math::max);
        } catch (IOException failure) {
            noteSize(failure);
            throw failure;
        }
    }

    private boolean isTaken(List<MemorySegment> buffers, long offset) {
        if (direct.isEmpty()) {
            return true;
        }
        long places = offset;
        long addresses = 0;
        for (MemorySegment buffer : buffers) {
            places |= buffer.byteSize();
            addresses |= buffer.address();
        }
        return places % alignments.requestBytes() == 0 && addresses % alignments.memoryBytes() == 0;
    }

    /** Makes a range read as zeros and frees its space where possible; a file grows to the end of the range. */
    public void writeZeroes(long offset, long lengthBytes) throws IOException {
        long end = requireWritable(offset, lengthBytes);
        if (lengthBytes == 0) {
            return;
        }
        try (RangeLocks.Range _ = holdLength(offset, end)) {
            if (device) {
                zeroDevice(offset, end);
                return;
            }
            long old = sizeBytes.get();
            if (end > old) {
                file.truncate(end);
                sizeBytes.set(end);
            }
            long inside = Math.min(end, old) - offset;
            if (inside > 0 && !punch(offset, inside)) {
                putZeros(offset, offset + inside);
            }
        }
    }

    /** Makes a range read as zeros and allocates its space: later writes there do not find the disk full. */
    public void writeAllocatedZeroes(long offset, long lengthBytes) throws IOException {
        long end = requireWritable(offset, lengthBytes);
        if (lengthBytes == 0) {
            return;
        }
        try (RangeLocks.Range _ = holdLength(offset, end)) {
            if (device) {
                zeroDevice(offset, end);
            } else {
                zeroAllocated(offset, end);
            }
        }
    }

    private void zeroAllocated(long offset, long end) throws IOException {
        try {
            int mode = file.posix().constants().FALLOC_FL_ZERO_RANGE;
            if (mode == 0 || !allocated(Ability.ZERO_RANGE, mode, offset, end)) {
                putZeros(offset, end);
            }
            sizeBytes.accumulateAndGet(end, Math::max);
        } catch (IOException failure) {
            noteSize(failure);
            throw failure;
        }
    }

    private void zeroDevice(long offset, long end) throws IOException {
        long sector = BlockDevices.sectorBytes(file);
        long from = Math.ceilDiv(offset, sector) * sector;
        long to = end / sector * sector;
        if (from < to && changedDevice(Ability.DEVICE_ZERO, file.posix().constants().BLKZEROOUT, from, to)) {
            putZeros(offset, from);
            putZeros(to, end);
        } else {
            putZeros(offset, end);
        }
    }

    /**
     * Discards a range's content. What the range reads as afterwards is undefined; the length stays. Returns false if
     * nothing was discarded.
     */
    public boolean discard(long offset, long lengthBytes) throws IOException {
        requireWritable(offset, lengthBytes);
        try (RangeLocks.Range _ = hold(offset, offset + lengthBytes)) {
            long unit = device ? BlockDevices.sectorBytes(file) : file.fileSystem().blockSizeBytes();
            long end = Math.min(offset + lengthBytes, sizeBytes.get());
            long from = Math.ceilDiv(offset, unit) * unit;
            // The last block of a file is whole if the range reaches to the file's end.
            long to = end == sizeBytes.get() ? end : end / unit * unit;
            if (from >= to) {
                return false;
            }
            return device ? changedDevice(Ability.DEVICE_DISCARD, file.posix().constants().BLKDISCARD, from, to)
                    : punch(from, to - from);
        }
    }

    /** Sets the length. If growing fails, the length stays as it was. */
    public void resize(long lengthBytes, Preallocation preallocation) throws IOException {
        requireOpenForWriting();
        Extents.requireRange(file, 0, lengthBytes);
        try (RangeLocks.Range _ = locks.hold(0, ANYWHERE)) {
            long old = sizeBytes.get();
            if (device) {
                if (lengthBytes != old) {
                    throw new SnapshotException(file + " is a block device of " + old + " bytes and cannot be made "
                            + lengthBytes + " bytes long");
                }
                return;
            }
            if (lengthBytes <= old) {
                file.truncate(lengthBytes);
                sizeBytes.set(lengthBytes);
                return;
            }
            try {
                grow(old, lengthBytes, preallocation);
                sizeBytes.set(lengthBytes);
            } catch (IOException failure) {
                try {
                    file.truncate(old);
                } catch (IOException second) {
                    failure.addSuppressed(second);
                }
                noteSize(failure);
                throw failure;
            }
        }
    }

    private void grow(long from, long to, Preallocation preallocation) throws IOException {
        switch (preallocation) {
            case NONE -> file.truncate(to);
            case ZERO -> zeroAllocated(from, to);
            case WRITE_DATA -> putZeros(from, to);
            case ALLOCATE -> {
                Constants constants = file.posix().constants();
                boolean macos = constants.operatingSystem() == OperatingSystem.MACOS;
                if (!allocated(Ability.ALLOCATE, macos ? constants.FALLOC_FL_KEEP_SIZE : 0, from, to)) {
                    putZeros(from, to);
                } else if (macos) {
                    file.truncate(to);
                }
            }
        }
    }

    /** Makes all writes durable. A failure is final: the writes it covered may be lost. */
    public void sync() throws IOException {
        if (options.syncsToDeviceOnly()) {
            file.syncToDevice();
        } else {
            file.sync();
        }
    }

    private boolean punch(long offset, long lengthBytes) throws IOException {
        return can(Ability.PUNCH) && could(Ability.PUNCH, Extents.punch(file, offset, lengthBytes));
    }

    private boolean allocated(Ability ability, int mode, long from, long to) throws IOException {
        if (!can(ability)) {
            return false;
        }
        Posix posix = file.posix();
        return could(ability, file.uninterrupted(() -> posix.fallocate(file.number(), mode, from, to - from)),
                "fallocate", from, to);
    }

    private boolean changedDevice(Ability ability, long request, long from, long to) throws IOException {
        return request != 0 && can(ability)
                && could(ability, BlockDevices.change(file, request, from, to - from),
                        ability == Ability.DEVICE_ZERO ? "ioctl(BLKZEROOUT)" : "ioctl(BLKDISCARD)", from, to);
    }

    private boolean can(Ability ability) {
        return !lacking.contains(ability);
    }

    private boolean could(Ability ability, long result, String call, long from, long to) throws IOException {
        boolean did = result >= 0 || !Extents.UNSUPPORTED.contains(file.posix().constants().errno(result));
        if (did) {
            file.check(call, result, "of " + (to - from) + " bytes at " + from);
        }
        return could(ability, did);
    }

    private boolean could(Ability ability, boolean did) {
        if (!did) {
            lacking.add(ability);
        }
        return did;
    }

    private void putZeros(long from, long to) throws IOException {
        if (from >= to) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(Math.min(ZEROS_BYTES, to - from), LEAST_LOCKED_BYTES);
            for (long at = from; at < to;) {
                // All pieces but the first and the last are whole blocks.
                long stop = Math.min(to, (at / ZEROS_BYTES + 1) * ZEROS_BYTES);
                stop = Math.min(stop, at + zeros.byteSize());
                put(List.of(zeros.asSlice(0, stop - at)), at, stop);
                at = stop;
            }
        }
    }

    private RangeLocks.Range hold(long offset, long end) {
        if (direct.isEmpty()) {
            return locks.hold(offset, end);
        }
        long unit = Math.max(LEAST_LOCKED_BYTES, alignments.requestBytes());
        long last = end > ANYWHERE - unit ? ANYWHERE : Math.ceilDiv(end, unit) * unit;
        return locks.hold(offset / unit * unit, last);
    }

    /** As {@link #hold}, and also locks everything after the range if the length will change. */
    private RangeLocks.Range holdLength(long offset, long end) {
        while (true) {
            boolean grows = end > sizeBytes.get();
            RangeLocks.Range range = hold(offset, grows ? ANYWHERE : end);
            if (grows || end <= sizeBytes.get()) {
                return range;
            }
            range.close();
        }
    }

    /** Returns where the range ends. */
    private long requireWritable(long offset, long lengthBytes) throws IOException {
        requireOpenForWriting();
        Extents.requireRange(file, offset, lengthBytes);
        long end = offset + lengthBytes;
        if (device && end > sizeBytes.get()) {
            throw new SnapshotException(file + " has " + sizeBytes + " bytes; " + lengthBytes + " bytes at " + offset
                    + " do not fit on it");
        }
        return end;
    }

    private void requireOpenForWriting() {
        if (!options.writable()) {
            throw new IllegalStateException(file + " is open for reading only");
        }
    }

    /** Reads the length anew after a failure. */
    private void noteSize(IOException failure) {
        try {
            sizeBytes.set(sizeOf(file));
        } catch (IOException second) {
            failure.addSuppressed(second);
        }
    }

    /** Closes what this object opened. A second call does nothing. */
    @Override
    public void close() throws IOException {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        try {
            if (direct.isPresent() && direct.get().file() != file) {
                direct.get().file().close();
            }
        } finally {
            bounce.ifPresent(Bounce::close);
            if (ownsFile) {
                file.close();
            }
        }
    }

    private static void closeAfter(Throwable failure, Descriptor file) {
        try {
            file.close();
        } catch (IOException second) {
            failure.addSuppressed(second);
        }
    }

    @Override
    public String toString() {
        return file.name();
    }
}
