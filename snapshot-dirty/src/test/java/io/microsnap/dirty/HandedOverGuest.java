package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.testing.TrackedGuest;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** Guest memory of a C program, which hands its userfaultfd over. */
final class HandedOverGuest implements TrackedGuest {
    private static final Posix POSIX = Posix.host();
    private static final int PAGE = POSIX.getpagesize();
    private static final int FIRST_PAGES = 3000;
    private static final int SECOND_PAGES = 1111;
    private static final GuestLayout LAYOUT = GuestLayout.of(PAGE,
            List.of(new Region(0, (long) FIRST_PAGES * PAGE), new Region(1L << 32, (long) SECOND_PAGES * PAGE)));

    private final ChildProcess child;
    private final int userfaultfd;
    private final long[] addresses;
    private final Descriptor memory;

    private HandedOverGuest(ChildProcess child, int userfaultfd, long[] addresses, Descriptor memory) {
        this.child = child;
        this.userfaultfd = userfaultfd;
        this.addresses = addresses;
        this.memory = memory;
    }

    /** @param agreement {@code fresh}, or {@code synchronous}: protection that somebody has to lift */
    static HandedOverGuest start(CCompiler compiler, ChildProcesses children, String agreement) throws IOException {
        Path program = compiler.program(HandedOverGuest.class, "handing-over.c");
        ChildProcess child = children.command(program.toString(), String.valueOf(FIRST_PAGES),
                String.valueOf(SECOND_PAGES), agreement);
        String[] said = child.awaitLine("ready").split(" ", -1);
        long[] addresses = {Long.parseLong(said[2]), Long.parseLong(said[3])};
        return new HandedOverGuest(child, Integer.parseInt(said[1]), addresses,
                Descriptor.open(POSIX, Path.of("/proc/" + child.pid() + "/mem"), POSIX.constants().O_RDONLY, 0));
    }

    ChildProcess child() {
        return child;
    }

    @Override
    public GuestLayout layout() {
        return LAYOUT;
    }

    @Override
    public DirtySource openSource() throws IOException {
        return PageMapSource.ofProcess(LAYOUT, addresses, child.pid(), userfaultfd);
    }

    @Override
    public Set<WritePath> paths() {
        return EnumSet.of(WritePath.MAPPING);
    }

    @Override
    public void write(WritePath path, long[] pages, int value) {
        StringBuilder command = new StringBuilder("write " + value);
        for (long page : pages) {
            command.append(' ').append(page / PAGE);
        }
        child.send(command.append(" .").toString());
        child.awaitLine("done");
    }

    @Override
    public Writing keepWriting(long seed) {
        SplittableRandom seeds = new SplittableRandom(seed);
        return new Writing() {
            private boolean running;

            @Override
            public void awaitProgress() {
                close();
                child.send("burst " + Long.toUnsignedString(seeds.nextLong()));
                running = true;
                child.awaitLine("some");
            }

            @Override
            public void close() {
                if (running) {
                    running = false;
                    child.awaitLine("done");
                }
            }
        };
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(destination.byteSize());
            long done = 0;
            while (done < buffer.byteSize()) {
                int region = LAYOUT.regionAt(imageOffset + done);
                long inRegion = imageOffset + done - LAYOUT.imageOffset(region);
                long length = Math.min(buffer.byteSize() - done,
                        LAYOUT.regions().get(region).lengthBytes() - inRegion);
                memory.readFully(buffer.asSlice(done, length), addresses[region] + inRegion);
                done += length;
            }
            destination.copyFrom(buffer);
        }
    }

    @Override
    public void close() throws IOException {
        memory.close();
        child.endInput();
        child.awaitExit();
    }
}
