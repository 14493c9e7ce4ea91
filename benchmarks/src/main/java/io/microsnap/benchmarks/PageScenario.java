package io.microsnap.benchmarks;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Locale;

/** What is asked of every page of a guest, page by page: in the processor's cache, and in memory. */
final class PageScenario implements Scenario {

    private static final int PAGE = 4096;
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;

    /** The questions. */
    enum Question {
        ZERO, EQUAL, CRC
    }

    private final Question question;
    private final boolean cached;

    PageScenario(Question question, boolean cached) {
        this.question = question;
        this.cached = cached;
    }

    static List<Scenario> all() {
        return List.of(
                new PageScenario(Question.ZERO, true), new PageScenario(Question.ZERO, false),
                new PageScenario(Question.EQUAL, true), new PageScenario(Question.EQUAL, false),
                new PageScenario(Question.CRC, true), new PageScenario(Question.CRC, false));
    }

    @Override
    public String name() {
        return "pages/" + word() + "/" + (cached ? "cached" : "memory");
    }

    @Override
    public String question() {
        String what = switch (question) {
            case ZERO -> "is each 4 KiB page zero";
            case EQUAL -> "is each 4 KiB page equal to another, beside memcmp";
            case CRC -> "the CRC32C of each 4 KiB page, beside the processor's instruction in three threads";
        };
        return what + ", over " + (bytes() >> 10) + " KiB, " + rounds() + " times";
    }

    @Override
    public Target target() {
        return Target.speedAtLeast(0.80);
    }

    @Override
    public long workingSetBytes() {
        return 4 * bytes();
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Posix posix = Posix.host();
        MemorySegment memory = memory(workbench, posix);
        MemorySegment other = question == Question.EQUAL ? memory(workbench, posix) : memory;
        long expected = sum(memory, other, 1) * rounds();
        return new Duel(
                Contestant.java(() -> { }, () -> {
                    if (sum(memory, other, rounds()) != expected) {
                        throw new IOException("another sum than in the run before");
                    }
                }),
                workbench.peer(PageScenario.class, "pages.c", rounds(), bytes(), word(),
                        Long.toUnsignedString(expected)),
                () -> { });
    }

    private long sum(MemorySegment memory, MemorySegment other, int rounds) {
        return switch (question) {
            case ZERO -> zeroPages(memory, rounds);
            case EQUAL -> equalPages(memory, other, rounds);
            case CRC -> checksums(memory, rounds);
        };
    }

    private static long zeroPages(MemorySegment memory, int rounds) {
        long sum = 0;
        for (int round = 0; round < rounds; round++) {
            for (long at = 0; at < memory.byteSize(); at += PAGE) {
                sum += Pages.isZero(memory, at, PAGE) ? 1 : 0;
            }
        }
        return sum;
    }

    private static long equalPages(MemorySegment memory, MemorySegment other, int rounds) {
        long sum = 0;
        for (int round = 0; round < rounds; round++) {
            for (long at = 0; at < memory.byteSize(); at += PAGE) {
                sum += Pages.equal(memory, at, other, at, PAGE) ? 1 : 0;
            }
        }
        return sum;
    }

    private static long checksums(MemorySegment memory, int rounds) {
        long sum = 0;
        for (int round = 0; round < rounds; round++) {
            for (long at = 0; at < memory.byteSize(); at += PAGE) {
                sum += Integer.toUnsignedLong(Pages.crc32c(memory, at, PAGE));
            }
        }
        return sum;
    }

    private MemorySegment memory(Workbench workbench, Posix posix) throws IOException {
        MemorySegment memory =
                workbench.closeLater(Mapping.anonymous(posix, bytes(), HugePages.NONE)).segment();
        if (question == Question.ZERO) {
            return memory.fill((byte) 0);
        }
        for (long at = 0; at < bytes(); at += Long.BYTES) {
            memory.set(ValueLayout.JAVA_LONG, at, (at + Long.BYTES) * GOLDEN);
        }
        return memory;
    }

    private long bytes() {
        return cached ? 128 << 10 : 256 << 20;
    }

    private int rounds() {
        return cached ? 10_000 : 5;
    }

    private String word() {
        return question.name().toLowerCase(Locale.ROOT);
    }
}
