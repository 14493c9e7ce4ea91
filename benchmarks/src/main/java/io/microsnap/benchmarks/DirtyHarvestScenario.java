package io.microsnap.benchmarks;

import io.microsnap.core.Region;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

/** Asking KVM which pages a guest wrote: a sparse guest, few or many pages, each way of tracking. */
final class DirtyHarvestScenario implements Scenario {
    private static final long GIB = 1L << 30;
    private static final int PAGE = 4096;
    private static final int CODE = 0x1000;
    private static final int HARVESTS_OF_NOTHING = 200;
    /** A glance at a ring takes nanoseconds. */
    private static final int GLANCES = 200_000;
    private static final int RUNS_TO_WARM = 500;
    private static final int PAGES_TO_WARM = 20;
    /** A ring has 65,536 entries; where KVM emulates, each page takes two: its own and the counter's. */
    private static final int MOST_IN_A_RING = 30_000;
    /** So that a turn takes a while, and is not at the mercy of one interrupt. */
    private static final int PAGES_IN_A_TURN = 50_000;
    /** Where its pages lie: below this, one in so many is written. */
    private static final int SPREAD = 2;

    private final DirtyTracking tracking;
    private final long ramBytes;
    private final int dirtyPages;

    DirtyHarvestScenario(DirtyTracking tracking, long ramBytes, int dirtyPages) {
        this.tracking = tracking;
        this.ramBytes = ramBytes;
        this.dirtyPages = dirtyPages;
    }

    /** Every way, 1 and 16 GiB, no page, a thousand and a hundred thousand (of a ring, as many as it holds). */
    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (DirtyTracking tracking : DirtyTracking.values()) {
            for (long ram : new long[] {GIB, 16 * GIB}) {
                for (int pages : new int[] {0, 1000, tracking == DirtyTracking.RING ? MOST_IN_A_RING : 100_000}) {
                    all.add(new DirtyHarvestScenario(tracking, ram, pages));
                }
            }
        }
        return all;
    }

    @Override
    public String name() {
        return String.format(Locale.ROOT, "kvm-harvest/%s/%dg/%d-pages",
                tracking.name().toLowerCase(Locale.ROOT).replace('_', '-'), ramBytes / GIB, dirtyPages);
    }

    @Override
    public String question() {
        String guest = "a sparse guest of " + ramBytes / GIB + " GiB";
        return dirtyPages == 0
                ? harvests() + " harvests of " + guest + " that wrote nothing"
                : harvests() + " harvests of " + guest + " that wrote " + dirtyPages + " pages before each";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.15);
    }

    @Override
    public long workingSetBytes() {
        return 2L * dirtyPages * PAGE + (64L << 20);
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Kvm kvm = workbench.kvm();
        SmallMachineSpec spec = SmallMachineSpec.ofRam(ramBytes).withTracking(tracking);
        SmallMachine machine = workbench.closeLater(SmallMachine.create(kvm, spec));
        DirtySource source = workbench.closeLater(machine.openDirtySource());
        int touched = Math.max(1, dirtyPages);
        GuestProgram program = GuestProgram.touch(new Touch(new Region(
                SmallMachine.PROGRAM_AREA_BYTES, (long) SPREAD * touched * PAGE), Pattern.RANDOM, 11, touched, 1));
        source.arm();

        int harvests = harvests();
        DirtyBitmap bitmap = DirtyBitmap.of(source.layout());
        machine.load(0, program);
        source.harvest(bitmap);
        Path found = workbench.directory(FileSystemKind.TMPFS).resolve("found");
        return new Duel(
                dirtyPages == 0
                        ? Contestant.java(bitmap::clear, () -> harvest(source, bitmap, harvests))
                        : () -> {
                            long nanos = 0;
                            for (int harvest = 0; harvest < harvests; harvest++) {
                                machine.load(0, program);
                                machine.resume();
                                machine.awaitFinish();
                                bitmap.clear();
                                nanos += harvestNanos(source, bitmap);
                            }
                            return nanos;
                        },
                workbench.peer(DirtyHarvestScenario.class, "kvm.c", dirtyPages == 0 ? "idle" : "harvest",
                        number(tracking), lowBytes(spec),
                        ramBytes - lowBytes(spec), aliasBytes(machine, spec), harvests, found, code(machine)),
                () -> requireSame(bitmap, found))
                .warmedBy(() -> {
                    warm(machine, source, bitmap);
                    machine.load(0, program);
                    source.harvest(bitmap);
                });
    }

    private int harvests() {
        if (dirtyPages > 0) {
            return Math.max(1, PAGES_IN_A_TURN / dirtyPages);
        }
        return tracking == DirtyTracking.RING ? GLANCES : HARVESTS_OF_NOTHING;
    }

    /** A manager of machines harvests often: what is measured is compiled code, on both sides. */
    private static void warm(SmallMachine machine, DirtySource source, DirtyBitmap bitmap) throws Exception {
        GuestProgram program = GuestProgram.touch(new Touch(
                new Region(SmallMachine.PROGRAM_AREA_BYTES, (long) SPREAD * PAGES_TO_WARM * PAGE), Pattern.RANDOM, 11,
                PAGES_TO_WARM, 1));
        Workbench.warmUp(() -> {
            for (int run = 0; run < RUNS_TO_WARM; run++) {
                machine.load(0, program);
                machine.resume();
                machine.awaitFinish();
                harvestNanos(source, bitmap);
                harvest(source, bitmap, 1);
                bitmap.clear();
            }
        });
    }

    /** Small, so that it is compiled as early as what it measures. */
    private static long harvestNanos(DirtySource source, DirtyBitmap bitmap) throws IOException {
        long start = System.nanoTime();
        source.harvest(bitmap);
        return System.nanoTime() - start;
    }

    private static void harvest(DirtySource source, DirtyBitmap bitmap, int times) throws IOException {
        for (int harvest = 0; harvest < times; harvest++) {
            source.harvest(bitmap);
        }
    }

    /** Both saw the same number of pages. */
    private void requireSame(DirtyBitmap bitmap, Path found) throws IOException {
        long theirs = Long.parseLong(Files.readString(found));
        // The counter's page, and no more.
        long written = dirtyPages == 0 ? 0 : dirtyPages + 1;
        if (bitmap.count() != written || theirs != written) {
            throw new IOException("the guest wrote " + written + " pages, we found " + bitmap.count()
                    + ", the peer " + theirs);
        }
    }

    /** As the peer counts them. */
    static int number(DirtyTracking tracking) {
        return switch (tracking) {
            case LOG -> 0;
            case MANUAL_CLEAR -> 1;
            case RING -> 2;
        };
    }

    static long lowBytes(SmallMachineSpec spec) {
        return spec.layout().regions().getFirst().lengthBytes();
    }

    static long aliasBytes(SmallMachine machine, SmallMachineSpec spec) {
        return spec.layout().regions().size() == 1 ? 0 : machine.reach().getLast().guest().lengthBytes();
    }

    /** The program as it stands in the guest's memory. */
    static String code(SmallMachine machine) {
        byte[] page = machine.memory().mapping(0).asSlice(CODE, PAGE).toArray(ValueLayout.JAVA_BYTE);
        int length = PAGE;
        while (length > 1 && page[length - 1] == 0) {
            length--;
        }
        // The last bytes of an instruction may be zeros.
        return HexFormat.of().formatHex(page, 0, Math.min(PAGE, length + Long.BYTES));
    }
}
