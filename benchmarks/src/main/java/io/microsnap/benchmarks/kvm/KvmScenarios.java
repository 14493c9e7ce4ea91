package io.microsnap.benchmarks.kvm;

import io.microsnap.benchmarks.scenario.Scenario;
import java.util.ArrayList;
import java.util.List;

/** What is measured of KVM guests. */
public final class KvmScenarios {

    private KvmScenarios() {
    }

    /** All of them. */
    public static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        all.addAll(DirtyHarvestScenario.all());
        all.add(new MachineStateScenario());
        all.addAll(KvmPauseScenario.all());
        return all;
    }
}
