package io.microsnap.registry;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.Verification;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;

/** Guests whose every byte the test knows, stored as snapshots of each kind. */
final class Guests {
    static final int PAGE = 4096;
    private static final String ATTACHMENT = "disk.qcow2";

    private Guests() {
    }

    static SnapshotId id(String name) {
        return new SnapshotId(name);
    }

    /** A guest that compresses to about half, with this many of a hundred pages of zeros, in runs. */
    static byte[] guest(int pages, int zeroPercent, SplittableRandom random) {
        byte[] guest = new byte[pages * PAGE];
        for (int run = 0; run < pages;) {
            int end = Math.min(pages, run + 1 + random.nextInt(40));
            if (random.nextInt(100) >= zeroPercent) {
                for (int page = run; page < end; page++) {
                    fillPage(guest, page, random);
                }
            }
            run = end;
        }
        return guest;
    }

    /** Half of the bytes are random, in runs: what zstd makes of a real guest's memory. */
    static void fillPage(byte[] guest, int page, SplittableRandom random) {
        for (int at = 0; at < PAGE; at += 64) {
            for (int word = 0; word < 32; word += 8) {
                long value = random.nextLong();
                for (int index = 0; index < 8; index++) {
                    guest[page * PAGE + at + word + index] = (byte) (value >>> (8 * index));
                }
            }
            guest[page * PAGE + at + 40] = (byte) at;
        }
    }

    /** The same guest, so many of a hundred pages changed, scattered; zeros among what changes. */
    static byte[] changed(byte[] guest, int percent, SplittableRandom random) {
        byte[] changed = guest.clone();
        for (int page = 0; page < guest.length / PAGE; page++) {
            if (random.nextInt(100) < percent) {
                if (random.nextInt(8) == 0) {
                    Arrays.fill(changed, page * PAGE, (page + 1) * PAGE, (byte) 0);
                } else {
                    fillPage(changed, page, random);
                }
            }
        }
        return changed;
    }

    static GuestLayout layout(byte[] guest) {
        return GuestLayout.ofSingleRegion(PAGE, guest.length);
    }

    /** A full snapshot with machine state and an attachment. */
    static StoredManifest full(DirectoryStore store, String name, byte[] guest) throws IOException {
        try (StagedSnapshot staged = store.stage(id(name))) {
            fill(staged, guest, Optional.empty(), new byte[guest.length]);
            text(staged.create(SnapshotFiles.MACHINE), "machine of " + name);
            text(staged.create(SnapshotFiles.attachment(ATTACHMENT)), "disk of " + name);
            return staged.publish(SnapshotDescription.full(layout(guest)).withImage("debian-13")
                    .withBakedByVersion("1"));
        }
    }

    /** A full image that was cloned from a base. */
    static StoredManifest onto(DirectoryStore store, String name, String base, byte[] guest) throws IOException {
        try (StoredSnapshot held = store.hold(id(base)); StagedSnapshot staged = store.stage(id(name))) {
            byte[] before = content(held);
            staged.copy(SnapshotFiles.MEMORY, held.image(), Progress.NONE);
            fill(staged, guest, Optional.of(false), before);
            return staged.publish(SnapshotDescription.fullOnto(layout(guest), held.reference())
                    .withParent(held.reference()).withImage("debian-13").withBakedByVersion("1"));
        }
    }

    /** Only what differs from the base, which stays required. */
    static StoredManifest diff(DirectoryStore store, String name, String base, byte[] guest) throws IOException {
        try (StoredSnapshot held = store.hold(id(base)); StagedSnapshot staged = store.stage(id(name))) {
            fill(staged, guest, Optional.of(true), content(held));
            return staged.publish(SnapshotDescription.diff(layout(guest), held.reference())
                    .withParent(held.reference()).withImage("debian-13").withBakedByVersion("1"));
        }
    }

    /** Writes image and index, and a map where there is a base; in the image, what differs from what was before. */
    private static void fill(StagedSnapshot staged, byte[] guest, Optional<Boolean> onBase, byte[] before)
            throws IOException {
        GuestLayout layout = layout(guest);
        boolean cloned = onBase.isPresent() && !onBase.get();
        Descriptor image = cloned ? staged.file(SnapshotFiles.MEMORY) : staged.create(SnapshotFiles.MEMORY);
        image.truncate(guest.length);
        try (Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), layout)) {
            MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, guest);
            MemorySegment old = arena.allocateFrom(ValueLayout.JAVA_BYTE, before);
            PageMap map = onBase.isPresent() ? PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), layout) : null;
            for (int page = 0; page < layout.pageCount(); page++) {
                long at = (long) page * PAGE;
                if (!Pages.equal(bytes, at, old, at, PAGE)) {
                    image.writeFully(bytes.asSlice(at, PAGE), at);
                    if (map != null) {
                        map.mark(page);
                    }
                }
                if (!Pages.isZero(bytes, at, PAGE)) {
                    index.set(page, Pages.crc32c(bytes, at, PAGE));
                }
            }
            index.finish();
            if (map != null) {
                map.finish();
                map.close();
            }
        }
    }

    private static void text(Descriptor file, String text) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            file.writeFully(arena.allocateFrom(ValueLayout.JAVA_BYTE, text.getBytes(StandardCharsets.UTF_8)), 0);
        }
    }

    static byte[] content(StoredSnapshot held) throws IOException {
        byte[] content = new byte[Math.toIntExact(held.layout().lengthBytes())];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(PAGE);
            for (int at = 0; at < content.length; at += PAGE) {
                StoredSnapshot layer = held;
                while (layer.base().isPresent() && !layer.pageMap().orElseThrow().test(at / PAGE)) {
                    layer = layer.base().get();
                }
                layer.image().readFully(page, at);
                MemorySegment.copy(page, ValueLayout.JAVA_BYTE, 0, content, at, PAGE);
            }
        }
        return content;
    }

    /** Verified page by page, byte for byte what it was, by every engine that restores. */
    static void requireWhole(DirectoryStore store, String name, byte[] guest) throws IOException {
        try (StoredSnapshot held = store.hold(id(name))) {
            Verification.of(held, 1, Progress.NONE).requireWhole();
            assertThat(content(held)).as(name).isEqualTo(guest);
        }
        try (RestoredSnapshot lazy = Restore.of(store, id(name)).restore(RestoreEngine.LAZY);
                RestoredSnapshot eager = Restore.of(store, id(name)).restore(RestoreEngine.EAGER);
                RestoredSnapshot memfd = Restore.of(store, id(name)).restore(RestoreEngine.MEMFD)) {
            for (RestoredSnapshot restored : new RestoredSnapshot[] {lazy, eager, memfd}) {
                assertThat(restored.memory().mapping(0).mismatch(MemorySegment.ofArray(guest))).as(name)
                        .isEqualTo(-1);
            }
        }
    }

    /** Holes are where zeros are: an image takes hardly more than what is in it. */
    static void requireSparse(DirectoryStore store, String name, byte[] guest) throws IOException {
        long data = 0;
        for (int page = 0; page < guest.length / PAGE; page++) {
            data += Pages.isZero(MemorySegment.ofArray(guest), (long) page * PAGE, PAGE) ? 0 : PAGE;
        }
        try (StoredSnapshot held = store.hold(id(name))) {
            assertThat(held.image().status().allocatedBytes()).as("allocated of " + name)
                    .isLessThanOrEqualTo(data + 16 * PAGE);
        }
    }
}
