package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.zip.CRC32C;

/** Small snapshots whose every byte follows from one number, and the check that they are whole. */
final class Snapshots {
    static final int PAGE = 4096;
    static final int PAGES = 24;
    static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
    static final String ATTACHMENT = SnapshotFiles.attachment("disk.qcow2");
    static final String GENERATION = "generation";

    private Snapshots() {
    }

    static SnapshotId id(String name) {
        return new SnapshotId(name);
    }

    /** A full snapshot with machine state and an attachment. */
    static StoredManifest publish(DirectoryStore store, String name, int generation) throws IOException {
        return publish(store, name, generation, IfExists.REFUSE);
    }

    static StoredManifest publish(DirectoryStore store, String name, int generation, IfExists ifExists)
            throws IOException {
        try (StagedSnapshot staged = store.stage(id(name))) {
            fill(staged, generation);
            return staged.publish(full(generation), ifExists);
        }
    }

    static SnapshotDescription full(int generation) {
        return SnapshotDescription.full(LAYOUT).withLabel(GENERATION, Integer.toString(generation));
    }

    static void fill(StagedSnapshot staged, int generation) throws IOException {
        try (Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), LAYOUT)) {
            Descriptor image = staged.create(SnapshotFiles.MEMORY);
            image.truncate(LAYOUT.lengthBytes());
            for (int page = 0; page < PAGES; page += 2) {
                byte[] bytes = page(generation, page);
                image.writeFully(arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes), (long) page * PAGE);
                index.set(page, crc(bytes));
            }
            index.finish();
            write(staged.create(SnapshotFiles.MACHINE), "machine " + generation);
            write(staged.create(ATTACHMENT), "disk " + generation);
        }
    }

    /** A diff in which page 1 is its own. */
    static StoredManifest publishDiff(DirectoryStore store, String name, String baseName, int generation)
            throws IOException {
        try (StoredSnapshot base = store.hold(id(baseName)); StagedSnapshot staged = store.stage(id(name))) {
            fillDiff(staged, base, generation);
            return staged.publish(SnapshotDescription.diff(LAYOUT, base.reference()).withParent(base.reference())
                    .withLabel(GENERATION, Integer.toString(generation)));
        }
    }

    private static void fillDiff(StagedSnapshot staged, StoredSnapshot base, int generation) throws IOException {
        try (Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.createFrom(base.pageIndex(), staged.create(SnapshotFiles.PAGE_INDEX));
                PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), LAYOUT)) {
            Descriptor image = staged.create(SnapshotFiles.MEMORY);
            image.truncate(LAYOUT.lengthBytes());
            byte[] bytes = page(generation, 1);
            image.writeFully(arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes), PAGE);
            index.set(1, crc(bytes));
            map.mark(1);
            index.finish();
            map.finish();
        }
    }

    /** Reads every byte: all of one generation, index, map and digests included. Returns the generation. */
    static int verify(DirectoryStore store, String name) throws IOException {
        try (StoredSnapshot held = store.hold(id(name)); Arena arena = Arena.ofConfined()) {
            held.verifyFiles();
            int generation = Integer.parseInt(held.manifest().labels().get(GENERATION));
            MemorySegment page = arena.allocate(PAGE);
            for (int number = 0; number < PAGES; number++) {
                boolean own = held.pageMap().isEmpty() || held.pageMap().get().test(number);
                StoredSnapshot holder = own || held.base().isEmpty() ? held : held.base().get();
                holder.image().readFully(page, (long) number * PAGE);
                assertThat(crc(page.toArray(ValueLayout.JAVA_BYTE))).as("page %d of %s", number, held)
                        .isEqualTo(held.pageIndex().crc(number));
            }
            if (held.manifest().file(SnapshotFiles.MACHINE).isPresent()) {
                assertThat(read(held.open(SnapshotFiles.MACHINE))).isEqualTo("machine " + generation);
                assertThat(read(held.open(ATTACHMENT))).isEqualTo("disk " + generation);
            }
            return generation;
        }
    }

    static byte[] page(int generation, int page) {
        byte[] bytes = new byte[PAGE];
        new Random(generation * 1000L + page).nextBytes(bytes);
        return bytes;
    }

    static int crc(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    static void write(Descriptor file, String text) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            file.writeFully(arena.allocateFrom(ValueLayout.JAVA_BYTE, text.getBytes(StandardCharsets.UTF_8)), 0);
        }
    }

    static String read(Descriptor file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(file.sizeBytes());
            file.readFully(bytes, 0);
            return new String(bytes.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
        }
    }
}
