package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

class WhileInUseTest {
    private static final int LENGTH = 16 << 20;
    private static final int PAGE = Bakery.PAGE;

    /** A guest restored lazily: its base mapped, and what its diff holds laid over it; read while both are shared. */
    @RealFileSystems({XFS, BTRFS})
    void aLazilyRestoredGuestReadsItsBytesWhileItsImageAndItsBaseAreDeduplicated(Path directory, Seed seed)
            throws Exception {
        SplittableRandom random = seed.random();
        byte[] old = TwoImages.bytes(LENGTH, 1);
        byte[] base = Bakery.changed(old, 10, random);
        byte[] guest = Bakery.changed(base, 30, random);
        byte[] other = Bakery.changed(base, 0, random);
        System.arraycopy(guest, 0, other, 0, LENGTH / 2);
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", old);
            Bakery.bake(store, "base", base);
            Bakery.bakeDiff(store, "other", "base", base, other);
            Bakery.bakeDiff(store, "guest", "base", base, guest);
            try (StoredSnapshot held = store.hold(Bakery.id("guest"));
                    Mapping memory = Mapping.file(
                            held.base().orElseThrow().image(), 0, LENGTH, Access.PRIVATE);
                    Arena arena = Arena.ofShared()) {
                PageMap own = held.pageMap().orElseThrow();
                own.runs((offset, length) -> memory.overlay(offset, held.image(), offset, length));
                MemorySegment expected = arena.allocateFrom(ValueLayout.JAVA_BYTE, guest);
                AtomicBoolean done = new AtomicBoolean();
                AtomicLong reads = new AtomicLong();
                AtomicReference<String> wrong = new AtomicReference<>();
                Thread reader = Thread.ofPlatform().start(() -> {
                    SplittableRandom pages = new SplittableRandom(seed.value());
                    while (!done.get() || reads.get() < LENGTH / PAGE) {
                        long at = pages.nextLong(LENGTH / PAGE) * PAGE;
                        if (!Pages.equal(memory.segment(), at, expected, at, PAGE)) {
                            wrong.set("the page at " + at + " is wrong after " + reads + " reads");
                        }
                        reads.incrementAndGet();
                    }
                });
                Deduplicator deduplicator = new Deduplicator(store);
                for (FragmentationPolicy budget : new FragmentationPolicy[] {
                        FragmentationPolicy.DEFAULT, FragmentationPolicy.DEFAULT.sharingEverything()}) {
                    DedupOptions options = DedupOptions.DEFAULTS.with(budget);
                    deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"), options);
                    deduplicator.deduplicate(Bakery.id("guest"), Bakery.id("other"), options);
                }
                done.set(true);
                reader.join();
                assertThat(wrong.get()).isNull();
            }
            assertThat(Bakery.image(store, "base")).isEqualTo(base);
            try (StoredSnapshot held = store.hold(Bakery.id("base"))) {
                assertThat(io.microsnap.core.internal.file.Extents.summary(held.image()).orElseThrow().sharedBytes())
                        .isGreaterThan(LENGTH / 2);
            }
            try (StoredSnapshot held = store.hold(Bakery.id("guest"))) {
                assertThat(io.microsnap.core.internal.file.Extents.summary(held.image()).orElseThrow().sharedBytes())
                        .isPositive();
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aSwapLeavesReadersOfTheOldImageTheirBytes(Path directory) throws IOException {
        byte[] old = TwoImages.bytes(LENGTH, 1);
        byte[] guest = Bakery.changed(old, 10, new SplittableRandom(2));
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", old);
            Bakery.bake(store, "guest", guest);
            Mapping memory;
            try (StoredSnapshot held = store.hold(Bakery.id("guest"))) {
                memory = Mapping.file(held.image(), 0, LENGTH, Access.PRIVATE);
            }
            try (memory) {
                assertThat(new Deduplicator(store).deduplicate(Bakery.id("guest"), SiblingPolicy.MOST_ALIKE,
                        DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP))).isInstanceOf(Deduplicated.class);
                assertThat(memory.segment().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(guest);
            }
            assertThat(Bakery.image(store, "guest")).isEqualTo(guest);
        }
    }
}
