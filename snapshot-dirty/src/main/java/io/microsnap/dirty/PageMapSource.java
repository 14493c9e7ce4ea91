package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.internal.file.AsynchronousProtection;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.PageMapScan;
import io.microsnap.core.internal.posix.PageMapScan.Categories;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.posix.UserFaultFd;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;

/** Watches a process's mapping of guest memory: see {@link DirtySource#ofPageMap(GuestMemory)}. */
final class PageMapSource implements DirtySource {
    private static final Categories WRITTEN = Categories.allOf(PageMapScan.PAGE_IS_WRITTEN);
    private static final long TAKE = PageMapScan.PM_SCAN_WP_MATCHING | PageMapScan.PM_SCAN_CHECK_WPASYNC;

    private final GuestLayout layout;
    private final long[] addresses;
    private final AsynchronousProtection.Use protection;
    private final Descriptor pagemap;
    private final GuestMemory.Hold hold;
    private final SourceOwnership ownership = new SourceOwnership();
    private final long hostPageBytes;
    private final PageMapScan scan = new PageMapScan();
    private boolean armed;
    private boolean closed;

    private PageMapSource(GuestLayout layout, long[] addresses, AsynchronousProtection.Use protection,
            Descriptor pagemap, GuestMemory.Hold hold) {
        this.layout = layout;
        this.addresses = addresses;
        this.protection = protection;
        this.pagemap = pagemap;
        this.hold = hold;
        hostPageBytes = pagemap.posix().getpagesize();
    }

    /** Called by {@link DirtySource#ofPageMap(GuestMemory)}. */
    static PageMapSource of(GuestMemory memory) throws IOException {
        return of(Posix.host(), memory);
    }

    static PageMapSource of(Posix posix, GuestMemory memory) throws IOException {
        long[] addresses = new long[memory.layout().regions().size()];
        for (int region = 0; region < addresses.length; region++) {
            addresses[region] = memory.mapping(region).address();
        }
        GuestMemory.Hold hold = memory.hold();
        AsynchronousProtection.Use protection = null;
        Descriptor pagemap = null;
        try {
            requirePages(addresses, posix.getpagesize());
            protection = use(posix, memory, addresses);
            pagemap = Descriptor.open(posix, Path.of("/proc/self/pagemap"), posix.constants().O_RDONLY, 0);
            return of(memory.layout(), addresses, protection, pagemap, hold);
        } catch (Throwable failure) {
            closeAfter(failure, protection);
            closeAfter(failure, pagemap);
            closeAfter(failure, hold);
            throw failure;
        }
    }

    /** Called by {@link DirtySource#ofPageMap(GuestLayout, long[], long, int)}. */
    static PageMapSource ofProcess(GuestLayout layout, long[] addresses, long process, int userfaultfd)
            throws IOException {
        Posix posix = Posix.host();
        Descriptor taken = Descriptor.ofProcess(posix, process, userfaultfd, "userfaultfd of process " + process);
        Descriptor pagemap = null;
        try {
            pagemap = Descriptor.open(posix, Path.of("/proc/" + process + "/pagemap"), posix.constants().O_RDONLY, 0);
            return of(layout, addresses, taken, pagemap);
        } catch (Throwable failure) {
            closeAfter(failure, taken);
            closeAfter(failure, pagemap);
            throw failure;
        }
    }

    /** Makes a source that owns the descriptors and closes them. If this throws, the caller still owns them. */
    static PageMapSource of(
            GuestLayout layout, long[] addresses, Descriptor userfaultfd, Descriptor pagemap) throws IOException {
        requireOnePerRegion(layout, addresses);
        requirePages(addresses, pagemap.posix().getpagesize());
        AsynchronousProtection.Use protection =
                new AsynchronousProtection(addresses, mappedBytes(layout, pagemap.posix().getpagesize()))
                        .use(userfaultfd);
        return of(layout, addresses, protection, pagemap, GuestMemory.Hold.NOTHING);
    }

    private static void requireOnePerRegion(GuestLayout layout, long[] addresses) {
        if (addresses.length != layout.regions().size()) {
            throw new IllegalArgumentException(addresses.length + " addresses for the " + layout.regions().size()
                    + " regions of " + layout);
        }
    }

    private static void requirePages(long[] addresses, long hostPageBytes) {
        for (long address : addresses) {
            if (address % hostPageBytes != 0) {
                throw new IllegalArgumentException("address " + Long.toHexString(address)
                        + " is not on a page of " + hostPageBytes + " bytes");
            }
        }
    }

    private static PageMapSource of(GuestLayout layout, long[] addresses, AsynchronousProtection.Use protection,
            Descriptor pagemap, GuestMemory.Hold hold) throws IOException {
        PageMapSource source = new PageMapSource(layout, addresses.clone(), protection, pagemap, hold);
        source.requireAsynchronous();
        return source;
    }

    @Override
    public String name() {
        return "page map scan";
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public long blockBytes() {
        return Math.max(layout.pageBytes(), hostPageBytes);
    }

    @Override
    public SourceOwnership ownership() {
        return ownership;
    }

    @Override
    public Set<WritePath> blindTo() {
        return EnumSet.of(WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD);
    }

    @Override
    public void arm() throws IOException {
        requireOpen();
        armed = false;
        protection.register();
        Descriptor userfaultfd = protection.userfaultfd();
        for (int region = 0; region < addresses.length; region++) {
            check("UFFDIO_WRITEPROTECT", UserFaultFd.writeProtect(
                    userfaultfd.posix(), userfaultfd.number(), addresses[region], mappedBytes(region)), region);
        }
        armed = true;
    }

    @Override
    public void harvest(DirtyBitmap into) throws IOException {
        requireOpen();
        if (!armed) {
            throw new IllegalStateException("the " + name() + " is not armed");
        }
        into.requireLayout(layout);
        armed = false;
        for (int region = 0; region < addresses.length; region++) {
            long start = addresses[region];
            long imageOffset = layout.imageOffset(region);
            long lengthBytes = layout.regions().get(region).lengthBytes();
            scan.scan(pagemap, start, start + mappedBytes(region), TAKE, WRITTEN, (address, length) ->
                    into.mark(imageOffset + address - start, Math.min(length, lengthBytes - (address - start))));
            // To a scan, a dead process looks like one that writes nothing. Registering again has no effect, but fails
            // for a dead process.
            register(region);
        }
        armed = true;
    }

    @Override
    public void disarm() throws IOException {
        armed = false;
        protection.unregister();
    }

    /** Ends watching. If the process or its mapping is gone already, there is no protection to remove. */
    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        try (scan; hold; pagemap; protection) {
            disarm();
        }
    }

    /** Shares the userfaultfd of restored memory, because a recording of the working set may watch that memory, too. */
    private static AsynchronousProtection.Use use(Posix posix, GuestMemory memory, long[] addresses)
            throws IOException {
        AsynchronousProtection protection = memory instanceof GuestRam ram ? ram.protection()
                : new AsynchronousProtection(addresses, mappedBytes(memory.layout(), posix.getpagesize()));
        try {
            return protection.use(posix);
        } catch (AccessDeniedException forbidden) {
            throw new TrackingUnavailableException("this process may not use userfaultfd; a container's seccomp profile"
                    + " may forbid it: allow it there", forbidden);
        } catch (SystemCallException failure) {
            if (failure.errno() != Errno.ENOSYS) {
                throw failure;
            }
            throw new TrackingUnavailableException("this system has no userfaultfd; use Linux 6.7 or later", failure);
        }
    }

    /** Tests the protection on zero pages: with another kind, a write to a protected page would wait for ever. */
    private void requireAsynchronous() throws IOException {
        try {
            protection.register();
        } catch (SystemCallException failure) {
            throw failure.errno() == Errno.EINVAL ? unavailable(failure) : failure;
        }
        try {
            scan.scan(pagemap, addresses[0], addresses[0] + hostPageBytes, PageMapScan.PM_SCAN_CHECK_WPASYNC, WRITTEN,
                    (address, length) -> { });
        } catch (AccessDeniedException notAsynchronous) {
            throw unavailable(notAsynchronous);
        } catch (SystemCallException failure) {
            throw failure.errno() == Errno.ENOTTY ? unavailable(failure) : failure;
        } finally {
            disarm();
        }
    }

    private TrackingUnavailableException unavailable(IOException cause) {
        return new TrackingUnavailableException("memory at address " + Long.toHexString(addresses[0]) + " cannot be"
                + " protected asynchronously: Linux 6.7 or later is needed, and a userfaultfd from another process"
                + " has to be fresh, or negotiated with UFFD_FEATURE_WP_ASYNC", cause);
    }

    private void register(int region) throws IOException {
        Descriptor userfaultfd = protection.userfaultfd();
        check("UFFDIO_REGISTER", UserFaultFd.register(
                userfaultfd.posix(), userfaultfd.number(), addresses[region], mappedBytes(region)), region);
    }

    private void check(String request, int result, int region) throws IOException {
        protection.userfaultfd().check("ioctl " + request, result, "of " + mappedBytes(region) + " bytes at address "
                + Long.toHexString(addresses[region]) + ", " + layout.regions().get(region));
    }

    /** Returns the length of the region's mapping: an imported image may end within a page, its mapping does not. */
    private long mappedBytes(int region) {
        return mappedBytes(layout, hostPageBytes)[region];
    }

    private static long[] mappedBytes(GuestLayout layout, long hostPageBytes) {
        return layout.regions().stream()
                .mapToLong(region -> Math.ceilDiv(region.lengthBytes(), hostPageBytes) * hostPageBytes).toArray();
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the " + name() + " is closed");
        }
    }

    private static void closeAfter(Throwable failure, AutoCloseable opened) {
        if (opened != null) {
            try {
                opened.close();
            } catch (Exception closing) {
                failure.addSuppressed(closing);
            }
        }
    }
}
