package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What is changed while a guest is paused waits for no memory. */
@EnabledOnOs(OS.LINUX)
final class PopulatedEntriesTest {
    private static final int PAGE = 4096;
    private static final int PAGES_IN_LINE = 64;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 1L << 30);

    private final FaultyPosix watched = FaultyPosix.host();

    @TempDir
    private Path directory;

    @Test
    void markingPagesOfAPopulatedMap() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            map.populate(0, LAYOUT.pageCount());
            long before = watched.populatedBytes();
            map.mark(0, LAYOUT.pageCount());
            assertThat(watched.populatedBytes()).isEqualTo(before);
        }
    }

    @Test
    void populatingAPartOfAMapTakesTheMemoryOfThatPart() throws IOException {
        try (Descriptor file = create("map"); PageMap map = PageMap.create(file, LAYOUT)) {
            long before = watched.populatedBytes();
            map.populate(100_001, 3);
            assertThat(watched.populatedBytes()).isEqualTo(before + PAGE);
            map.mark(100_001, 3);
            assertThat(watched.populatedBytes()).isEqualTo(before + PAGE);
        }
    }

    @Test
    void changingAndWritingAPopulatedIndex() throws IOException {
        try (Descriptor baseFile = create("base"); PageIndex base = PageIndex.create(baseFile, LAYOUT)) {
            base.set(7, 7);
            base.finish();
            try (Descriptor file = create("index"); PageIndex index = PageIndex.createFrom(base, file)) {
                index.populate(0, LAYOUT.pageCount());
                long before = watched.populatedBytes();
                for (long page = 0; page < LAYOUT.pageCount(); page += PAGES_IN_LINE) {
                    index.set(page, (int) page);
                }
                index.finish();
                assertThat(watched.populatedBytes()).isEqualTo(before);
            }
        }
    }

    @Test
    void changingAPopulatedIndexMakesNoSystemCall() throws IOException {
        try (Descriptor baseFile = create("base"); PageIndex base = PageIndex.create(baseFile, LAYOUT);
                Arena arena = Arena.ofConfined()) {
            base.set(7, 7);
            base.finish();
            MemorySegment checksums = arena.allocate(ValueLayout.JAVA_INT, 3 * PAGES_IN_LINE);
            checksums.fill((byte) 1);
            try (Descriptor file = create("index"); PageIndex index = PageIndex.createFrom(base, file)) {
                index.load(0, LAYOUT.pageCount());
                index.populate(0, LAYOUT.pageCount());
                int before = watched.calls();
                index.set(5, checksums);
                index.setZero(1000, 500);
                assertThat(watched.calls()).isEqualTo(before);
            }
        }
    }

    private Descriptor create(String name) throws IOException {
        return Descriptor.open(watched.posix(), directory.resolve(name), watched.posix().constants().O_RDWR
                | watched.posix().constants().O_CREAT | watched.posix().constants().O_EXCL, 0600);
    }
}
