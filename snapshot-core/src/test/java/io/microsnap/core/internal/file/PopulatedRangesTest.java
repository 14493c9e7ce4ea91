package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.HugePages;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.PageMapScan;
import io.microsnap.core.internal.posix.PageMapScan.Categories;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@EnabledOnOs(OS.LINUX)
class PopulatedRangesTest {
    private static final long SEED = 0x9a9e;
    private static final int PAGES = 20_000;

    private final FaultyPosix faulty = FaultyPosix.host();
    private final Posix posix = faulty.posix();
    private final Constants constants = posix.constants();
    private final long page = posix.getpagesize();
    @TempDir
    Path directory;

    private enum Kernel {
        WITH_SCAN, WITHOUT_SCAN
    }

    @ParameterizedTest
    @EnumSource
    void anonymousMemoryIsPopulatedWhereItWasWritten(Kernel kernel) throws IOException {
        as(kernel);
        Random random = new Random(SEED);
        try (Mapping mapping = Mapping.anonymous(posix, PAGES * page, HugePages.NONE)) {
            mapping.advise(0, PAGES * page, Advice.NO_HUGE_PAGES);
            BitSet written = new BitSet();
            for (int index = 0; index < PAGES / 3; index++) {
                written.set(random.nextInt(PAGES));
            }
            written.stream().forEach(at -> mapping.segment().set(ValueLayout.JAVA_BYTE, at * page, (byte) 0));
            assertThat(pages(ranges -> mapping.populated(0, PAGES * page, ranges)))
                    .as("seed %x", SEED).isEqualTo(written);
            BitSet inside = written.get(0, 9001);
            inside.clear(0, 7);
            assertThat(pages(ranges -> mapping.populated(7 * page, 8993 * page + 1, ranges)))
                    .as("of pages 7 to 9000, seed %x", SEED).isEqualTo(inside);
        }
    }

    @Test
    void readingAnonymousMemoryDoesNotPopulateIt() throws IOException {
        try (Mapping mapping = Mapping.anonymous(posix, 16 * page, HugePages.NONE)) {
            assertThat(Pages.isZero(mapping.segment(), 0, 15 * page)).isTrue();
            assertThat(ranges(consumer -> mapping.populated(0, 16 * page, consumer))).isEmpty();
        }
    }

    @Test
    void whatIsInMemoryAltogetherIsPopulatedWithoutLookingAtEachPage() throws IOException {
        try (Descriptor file = create("file");
                Mapping anonymous = Mapping.anonymous(posix, 32 * page, HugePages.NONE);
                Mapping memfd = Mapping.memfd(posix, "guest", 32 * page, HugePages.NONE)) {
            file.truncate(32 * page);
            try (Mapping shared = Mapping.file(file, 0, 32 * page, Access.SHARED_WRITE)) {
                for (Mapping mapping : List.of(anonymous, memfd, shared)) {
                    mapping.segment().asSlice(0, 16 * page).fill((byte) 1);
                    int looks = faulty.calls("ioctl") + faulty.calls("lseek");
                    assertThat(ranges(consumer -> mapping.populated(3 * page, 12 * page + 5, consumer)))
                            .containsExactly(3 * page + "+" + (12 * page + 5));
                    assertThat(faulty.calls("ioctl") + faulty.calls("lseek")).as("%s", mapping).isEqualTo(looks);
                }
            }
            for (Mapping mapping : List.of(anonymous, memfd)) {
                assertThat(ranges(consumer -> mapping.populated(15 * page, 2 * page, consumer)))
                        .containsExactly(15 * page + "+" + page);
            }
        }
    }

    @Test
    void whereItIsNotToldWhetherMemoryIsThereItIsLookedAtPageByPage() throws IOException {
        faulty.at("mincore", 1).fails(Errno.EAGAIN).at("mincore", 2).isInterrupted();
        try (Mapping mapping = Mapping.anonymous(posix, 16 * page, HugePages.NONE)) {
            mapping.segment().fill((byte) 1);
            for (int time = 1; time <= 2; time++) {
                assertThat(ranges(consumer -> mapping.populated(0, 16 * page, consumer)))
                        .containsExactly("0+" + 16 * page);
                assertThat(faulty.calls("ioctl")).isEqualTo(time);
            }
        }
    }

    @Test
    void theRestOfAnonymousMemoryThatWasOnlyReadIsToldApartInLongRanges() throws IOException {
        long length = 8L << 20;
        try (Mapping mapping = Mapping.anonymous(posix, length, HugePages.NONE)) {
            mapping.advise(0, length, Advice.NO_HUGE_PAGES);
            assertThat(Pages.isZero(mapping.segment(), 0, length)).isTrue();
            assertThat(ranges(consumer -> mapping.populated(0, length, consumer))).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void theLastRangeEndsWhereTheMemoryEnds(Kernel kernel) throws IOException {
        as(kernel);
        try (Mapping mapping = Mapping.anonymous(posix, 2 * page + 5, HugePages.NONE)) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, 2 * page, (byte) 1);
            assertThat(ranges(consumer -> mapping.populated(0, 2 * page + 5, consumer)))
                    .containsExactly(2 * page + "+5");
        }
    }

    @Test
    void aMemfdIsPopulatedWhereItWasWrittenByWhomever() throws IOException {
        try (Mapping mapping = Mapping.memfd(posix, "guest", 16 * page, HugePages.NONE);
                Arena arena = Arena.ofConfined()) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, 3 * page, (byte) 1);
            mapping.descriptor().orElseThrow().writeFully(arena.allocate(1), 9 * page);
            assertThat(ranges(consumer -> mapping.populated(0, 16 * page, consumer)))
                    .containsExactly(3 * page + "+" + page, 9 * page + "+" + page);
            assertThat(ranges(consumer -> mapping.populated(9 * page, page / 2, consumer)))
                    .as("clipped").containsExactly(9 * page + "+" + page / 2);
            assertThat(ranges(consumer -> mapping.populated(4 * page, 5 * page, consumer))).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void aPrivateMappingIsPopulatedByItsFileItsLayersAndItsWrites(Kernel kernel) throws IOException {
        as(kernel);
        try (Descriptor base = create("base"); Descriptor layer = create("layer"); Arena arena = Arena.ofConfined()) {
            base.truncate(64 * page);
            base.writeFully(arena.allocate(2 * page), 18 * page);
            layer.truncate(14 * page);
            layer.writeFully(arena.allocate(3 * page), 9 * page);
            try (Mapping mapping = Mapping.file(base, 16 * page, 48 * page, Access.PRIVATE)) {
                mapping.overlay(10 * page, layer, 10 * page, 4 * page);
                mapping.overlay(20 * page, layer, 8 * page, 3 * page);
                mapping.overlay(23 * page, layer, 9 * page, page);
                mapping.overlay(24 * page, layer, 9 * page, page);
                mapping.overlay(25 * page, layer, 10 * page, 2 * page);
                mapping.overlay(22 * page, base, 0, 4 * page);
                mapping.segment().set(ValueLayout.JAVA_BYTE, 14 * page, (byte) 1);
                mapping.segment().set(ValueLayout.JAVA_BYTE, 30 * page, (byte) 1);
                assertThat(Pages.isZero(mapping.segment(), 40 * page, page)).as("a hole, read").isTrue();
                BitSet expected = new BitSet();
                expected.set(2, 4);
                expected.set(10, 12);
                expected.set(14);
                expected.set(21);
                expected.set(26);
                expected.set(30);
                assertThat(pages(ranges -> mapping.populated(0, 48 * page, ranges))).isEqualTo(expected);
                assertThat(ranges(ranges -> mapping.populated(11 * page, 2 * page, ranges)))
                        .containsExactly(11 * page + "+" + page);
            }
        }
    }

    @Test
    void aSharedFileMappingIsPopulatedWhereTheFileHasData() throws IOException {
        try (Descriptor file = create("file"); Arena arena = Arena.ofConfined()) {
            file.truncate(64 * page);
            file.writeFully(arena.allocate(page), 18 * page);
            try (Mapping mapping = Mapping.file(file, 16 * page, 48 * page, Access.SHARED_READ)) {
                assertThat(ranges(ranges -> mapping.populated(0, 48 * page, ranges)))
                        .containsExactly(2 * page + "+" + page);
            }
        }
    }

    @Test
    void whereTheFilesystemCannotTellEverythingCounts() throws IOException {
        try (Descriptor file = create("file")) {
            file.truncate(64 * page);
            for (Errno errno : List.of(Errno.EINVAL, Errno.EOPNOTSUPP)) {
                faulty.at("lseek", faulty.calls("lseek") + 1).fails(errno);
                assertThat(ranges(ranges -> PopulatedRanges.ofFile(file, page, 9 * page, ranges)))
                        .containsExactly(page + "+" + 9 * page);
            }
            faulty.at("lseek", faulty.calls("lseek") + 1).fails(Errno.EIO);
            assertThatThrownBy(() -> PopulatedRanges.ofFile(file, 0, page, (at, length) -> { }))
                    .isInstanceOf(SystemCallException.class).hasMessageContainingAll("file", "SEEK_DATA", "EIO");
        }
    }

    @Test
    void whatATruncatedFileLostIsNotTakenForAHole() throws IOException {
        try (Descriptor file = create("file")) {
            file.truncate(64 * page);
            try (Mapping mapping = Mapping.file(file, 0, 64 * page, Access.SHARED_WRITE)) {
                mapping.segment().fill((byte) 1);
                file.truncate(32 * page + 1);
                assertThatThrownBy(() -> mapping.populated(0, 64 * page, (at, length) -> { }))
                        .isInstanceOf(SnapshotException.class).hasMessageContainingAll("file", "truncated");
                assertThat(ranges(ranges -> PopulatedRanges.ofFile(file, page, 32 * page, ranges))).isNotEmpty();
            }
        }
    }

    @Test
    void anInterruptedQuestionIsAskedAgain() throws IOException {
        try (Mapping mapping = Mapping.anonymous(posix, 16 * page, HugePages.NONE)) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, page, (byte) 1);
            faulty.at("ioctl", 1).isInterrupted();
            assertThat(ranges(ranges -> mapping.populated(0, 16 * page, ranges)))
                    .containsExactly(page + "+" + page);
            assertThat(faulty.calls("ioctl")).isEqualTo(2);
        }
    }

    @Test
    void aScanNamesMoreRunsThanItsVectorHolds() throws IOException {
        try (Mapping mapping = Mapping.anonymous(posix, PAGES * page, HugePages.NONE);
                Descriptor pagemap = Descriptor.open(posix, Path.of("/proc/self/pagemap"), constants.O_RDONLY, 0)) {
            mapping.advise(0, PAGES * page, Advice.NO_HUGE_PAGES);
            for (long at = 0; at < PAGES; at += 2) {
                mapping.segment().set(ValueLayout.JAVA_BYTE, at * page, (byte) 1);
            }
            PageMapScan scan = new PageMapScan();
            long[] runs = new long[1];
            scan.scan(pagemap, mapping.address(), mapping.address() + PAGES * page, 0,
                    Categories.allOf(PageMapScan.PAGE_IS_PRESENT), (address, length) -> {
                        assertThat(address).isEqualTo(mapping.address() + runs[0] * 2 * page);
                        assertThat(length).isEqualTo(page);
                        runs[0]++;
                    });
            assertThat(runs[0]).isEqualTo(PAGES / 2);
            mapping.segment().fill((byte) 1);
            runs[0] = 0;
            scan.scan(pagemap, mapping.address(), mapping.address() + PAGES * page, 0,
                    Categories.allOf(PageMapScan.PAGE_IS_PRESENT), (address, length) -> {
                        assertThat(length).isEqualTo(PAGES * page);
                        runs[0]++;
                    });
            assertThat(runs[0]).as("one run").isEqualTo(1);
        }
    }

    @Test
    void rangesThatCannotBeAreRefused() throws IOException {
        try (Descriptor file = create("file"); Mapping mapping = Mapping.anonymous(posix, page, HugePages.NONE)) {
            assertThatThrownBy(() -> PopulatedRanges.ofFile(file, -1, 1, (at, length) -> { }))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> PopulatedRanges.ofFile(file, 1, Long.MAX_VALUE, (at, length) -> { }))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> mapping.populated(0, page + 1, (at, length) -> { }))
                    .isInstanceOf(IndexOutOfBoundsException.class);
            MemorySegment inside = mapping.segment().asSlice(1);
            assertThatThrownBy(() -> PopulatedRanges.ofMemory(posix, inside, (at, length) -> { }))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("inside a page");
        }
    }

    private void as(Kernel kernel) {
        if (kernel == Kernel.WITHOUT_SCAN) {
            faulty.every("ioctl").fails(Errno.ENOTTY);
        }
    }

    private Descriptor create(String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name), constants.O_RDWR | constants.O_CREAT, 0600);
    }

    private interface Question {
        void ask(RangeConsumer ranges) throws IOException;
    }

    private static List<String> ranges(Question question) throws IOException {
        List<String> ranges = new ArrayList<>();
        question.ask((offset, length) -> ranges.add(offset + "+" + length));
        return ranges;
    }

    private BitSet pages(Question question) throws IOException {
        BitSet pages = new BitSet();
        question.ask((offset, length) -> pages.set((int) (offset / page), (int) Math.ceilDiv(offset + length, page)));
        return pages;
    }
}
