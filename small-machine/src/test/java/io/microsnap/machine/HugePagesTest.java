package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmTest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A guest on huge pages is tracked page by page all the same. */
@KvmTest
class HugePagesTest {
    private static final long MIB = 1 << 20;
    private static final int PAGE = 4096;
    private static final SmallMachineSpec SPEC = SmallMachineSpec.ofRam(16 * MIB);

    @ParameterizedTest
    @EnumSource(DirtyTracking.class)
    void aGuestOnTransparentHugePagesIsReportedByThePage(DirtyTracking tracking) throws Exception {
        reportsSinglePages(tracking, GuestRam.anonymous(Posix.host(), SPEC.layout(), HugePages.TRANSPARENT));
    }

    @ParameterizedTest
    @EnumSource(DirtyTracking.class)
    void aGuestOnReservedHugePagesIsReportedByThePage(DirtyTracking tracking) throws Exception {
        // By lines: readString asks for a byte first, and of a number in /proc/sys the kernel gives no second piece.
        long reserved = Long.parseLong(Files.readAllLines(Path.of("/proc/sys/vm/nr_hugepages")).getFirst());
        if (reserved * 2 * MIB < SPEC.layout().lengthBytes()) {
            Assumptions.abort("no huge pages are reserved; sysctl vm.nr_hugepages=16 reserves enough for this test");
        }
        reportsSinglePages(tracking, GuestRam.memfd(Posix.host(), SPEC.layout(), HugePages.RESERVED));
    }

    private static void reportsSinglePages(DirtyTracking tracking, GuestRam memory) throws Exception {
        memory.mapping(0).fill((byte) 7);
        if (hugeBytes(memory.mapping(0)) == 0) {
            memory.close();
            Assumptions.abort("the kernel gave no huge pages; echo madvise >"
                    + " /sys/kernel/mm/transparent_hugepage/enabled allows them, if memory is not too fragmented");
        }
        Touch touch = new Touch(new Region(2 * MIB, 12 * MIB), Pattern.RANDOM, 0x5eed, 50, 1);
        Set<Long> expected = new TreeSet<>();
        touch.pages(touch.touchesPerRound(), expected::add);
        // The counter.
        expected.add(0x2000L);
        try (Kvm kvm = Kvm.open();
                SmallMachine machine = SmallMachine.create(kvm, SPEC.withTracking(tracking), memory);
                DirtySource source = machine.openDirtySource()) {
            for (int round = 0; round < 2; round++) {
                machine.load(0, GuestProgram.touch(touch));
                source.arm();
                machine.resume();
                machine.awaitFinish();
                DirtyBitmap seen = DirtyBitmap.of(SPEC.layout());
                source.harvest(seen);
                assertThat(pages(seen)).as("%s, round %d", source.name(), round).isEqualTo(expected);
            }
            assertThat(hugeBytes(memory.mapping(0))).as("huge pages still there").isPositive();
        }
    }

    /** How much of what is mapped there is huge, by the kernel's own account. */
    private static long hugeBytes(MemorySegment memory) throws IOException {
        long huge = 0;
        boolean inside = false;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] ends = line.substring(0, line.indexOf(' ')).split("-", 2);
                inside = Long.parseUnsignedLong(ends[0], 16) < memory.address() + memory.byteSize()
                        && Long.parseUnsignedLong(ends[1], 16) > memory.address();
            } else if (inside && line.matches("(AnonHugePages|Shared_Hugetlb|Private_Hugetlb):.*")) {
                huge += Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        return huge;
    }

    private static Set<Long> pages(DirtyBitmap bitmap) throws IOException {
        Set<Long> pages = new TreeSet<>();
        bitmap.runs(0, (offset, length) -> {
            for (long page = offset; page < offset + length; page += PAGE) {
                pages.add(page);
            }
        });
        return pages;
    }
}
