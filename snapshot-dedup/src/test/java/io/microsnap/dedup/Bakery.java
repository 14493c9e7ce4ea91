package io.microsnap.dedup;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.Manifest;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.SplittableRandom;

/** Bakes snapshots: guests whose bytes a test knows. */
final class Bakery {
    static final int PAGE = TwoImages.PAGE;
    static final String IMAGE = "debian-13";
    static final String VERSION = "1.0";
    private static final int RUN = 64 * PAGE;

    private Bakery() {
    }

    static DirectoryStore store(Path directory) throws IOException {
        return store(Posix.host(), directory);
    }

    static DirectoryStore store(Posix posix, Path directory) throws IOException {
        return DirectoryStore.openOrCreate(posix, directory.resolve("store"), StoreOptions.PRIVATE);
    }

    static SnapshotId id(String name) {
        return new SnapshotId(name);
    }

    static SnapshotDescription describe(long lengthBytes) {
        return SnapshotDescription.full(GuestLayout.ofSingleRegion(PAGE, lengthBytes))
                .withImage(IMAGE).withBakedByVersion(VERSION);
    }

    /** A full snapshot; pages of zeros become holes. */
    static Manifest bake(DirectoryStore store, String name, byte[] guest) throws IOException {
        return bake(store, name, guest, describe(guest.length));
    }

    static Manifest bake(DirectoryStore store, String name, byte[] guest, SnapshotDescription description)
            throws IOException {
        try (StagedSnapshot staged = store.stage(id(name)); Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), description.layout())) {
            int pageBytes = description.layout().pageBytes();
            Descriptor image = staged.create(SnapshotFiles.MEMORY);
            image.truncate(guest.length);
            MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, guest);
            for (long page = 0; page < guest.length / pageBytes;) {
                long end = page;
                while (end < guest.length / pageBytes && !Pages.isZero(bytes, end * pageBytes, pageBytes)) {
                    index.set(end, Pages.crc32c(bytes, end * pageBytes, pageBytes));
                    end++;
                }
                if (end > page) {
                    image.writeFully(bytes.asSlice(page * pageBytes, (end - page) * pageBytes), page * pageBytes);
                }
                page = end + 1;
            }
            index.finish();
            return staged.publish(description);
        }
    }

    /** A full snapshot with these checksums of its pages, and an image that is one hole: nobody is to look into it. */
    static Manifest bakeIndex(DirectoryStore store, String name, int[] crcs) throws IOException {
        SnapshotDescription description = describe((long) crcs.length * PAGE);
        try (StagedSnapshot staged = store.stage(id(name)); Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), description.layout())) {
            staged.create(SnapshotFiles.MEMORY).truncate(description.layout().lengthBytes());
            index.set(0, arena.allocateFrom(ValueLayout.JAVA_INT, crcs));
            index.finish();
            return staged.publish(description);
        }
    }

    /** A diff that holds what differs from its base. */
    static Manifest bakeDiff(DirectoryStore store, String name, String baseName, byte[] base, byte[] guest)
            throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, guest.length);
        try (StoredSnapshot held = store.hold(id(baseName)); StagedSnapshot staged = store.stage(id(name));
                Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.createFrom(held.pageIndex(), staged.create(SnapshotFiles.PAGE_INDEX));
                PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), layout)) {
            Descriptor image = staged.create(SnapshotFiles.MEMORY);
            image.truncate(guest.length);
            MemorySegment before = arena.allocateFrom(ValueLayout.JAVA_BYTE, base);
            MemorySegment after = arena.allocateFrom(ValueLayout.JAVA_BYTE, guest);
            for (long page = 0; page < guest.length / PAGE; page++) {
                if (!Pages.equal(before, page * PAGE, after, page * PAGE, PAGE)) {
                    image.writeFully(after.asSlice(page * PAGE, PAGE), page * PAGE);
                    index.set(page, Pages.crc32c(after, page * PAGE, PAGE));
                    map.mark(page);
                }
            }
            index.finish();
            map.finish();
            return staged.publish(SnapshotDescription.diff(layout, held.reference()).withParent(held.reference())
                    .withImage(IMAGE).withBakedByVersion(VERSION));
        }
    }

    /** The same guest, a percentage of it changed, in runs. */
    static byte[] changed(byte[] guest, int percent, SplittableRandom random) {
        byte[] changed = guest.clone();
        for (int at = 0; at < guest.length; at += RUN) {
            if (random.nextInt(100) < percent) {
                for (int page = at; page < Math.min(guest.length, at + RUN); page += PAGE) {
                    changed[page + random.nextInt(PAGE)] ^= (byte) (1 + random.nextInt(255));
                }
            }
        }
        return changed;
    }

    /** What is in a snapshot's image now. */
    static byte[] image(DirectoryStore store, String name) throws IOException {
        try (StoredSnapshot held = store.hold(id(name)); Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(held.layout().lengthBytes());
            held.image().readFully(bytes, 0);
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }
}
