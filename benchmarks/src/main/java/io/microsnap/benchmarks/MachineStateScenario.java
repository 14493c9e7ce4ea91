package io.microsnap.benchmarks;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.Region;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Saving the state of a KVM guest's vCPU beside its memory: in sections that a snapshot keeps. */
final class MachineStateScenario implements Scenario {
    private static final int SAVES = 200;
    /** A manager of machines saves often: what is measured is compiled code. */
    private static final int SAVES_TO_WARM = 5000;
    private static final long RAM = 64L << 20;

    @Override
    public String name() {
        return "kvm-state";
    }

    @Override
    public String question() {
        return SAVES + " times the state of a VM with one vCPU";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.5);
    }

    @Override
    public long workingSetBytes() {
        return 64L << 20;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Kvm kvm = workbench.kvm();
        SmallMachineSpec spec = SmallMachineSpec.ofRam(RAM).withTracking(DirtyTracking.LOG);
        SmallMachine machine = workbench.closeLater(SmallMachine.create(kvm, spec));
        GuestProgram program = GuestProgram.touch(new Touch(
                new Region(SmallMachine.PROGRAM_AREA_BYTES, 1 << 20), Pattern.RANDOM, 11, 100, 1));
        machine.load(0, program);
        machine.resume();
        machine.awaitFinish();
        Path result = workbench.directory(FileSystemKind.TMPFS).resolve("registers");
        Saved saved = new Saved();
        return new Duel(
                Contestant.java(() -> {
                    machine.load(0, program);
                    machine.resume();
                    machine.awaitFinish();
                }, () -> {
                    for (int save = 0; save < SAVES; save++) {
                        saved.sections = machine.vm().saveState(kvm);
                    }
                }),
                workbench.peer(MachineStateScenario.class, "kvm.c", "state", DirtyHarvestScenario.number(
                        DirtyTracking.LOG), RAM, 0, 0, SAVES, result, DirtyHarvestScenario.code(machine)),
                () -> requireSame(saved, result))
                .warmedBy(() -> {
                    for (int save = 0; save < SAVES_TO_WARM; save++) {
                        machine.vm().saveState(kvm);
                    }
                });
    }

    private static final class Saved {
        private List<MachineStateSection> sections;
    }

    /** Both read the same number of model-specific registers. */
    private static void requireSame(Saved saved, Path result) throws IOException {
        int ours = saved.sections.stream().filter(section -> section.name().equals("kvm.vcpu0.msrs")).findFirst()
                .orElseThrow().payload().order(ByteOrder.nativeOrder()).getInt(0);
        int theirs = Integer.parseInt(Files.readString(result));
        if (ours != theirs) {
            throw new IOException("we saved " + ours + " model-specific registers, the peer " + theirs);
        }
    }
}
