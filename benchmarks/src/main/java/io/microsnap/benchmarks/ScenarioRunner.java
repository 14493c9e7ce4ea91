package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.List;

/**
 * Measures a scenario so that its ratio means something: memory warmed before each run, both sides in turn (A B B A) so
 * that what drifts hits both and each bears as often what the comparison before it left behind, nothing left to write
 * back from the run before, and the outputs compared after every pair.
 */
final class ScenarioRunner {

    private final int warmUps;
    private final int pairs;

    ScenarioRunner(int warmUps, int pairs) {
        this.warmUps = warmUps;
        this.pairs = pairs;
    }

    Outcome run(Scenario scenario) {
        List<Outcome.Pair> measured = new ArrayList<>();
        try (Workbench workbench = new Workbench()) {
            Duel duel = scenario.prepare(workbench);
            for (int pair = -warmUps; pair < pairs; pair++) {
                Outcome.Pair times = turns(duel, scenario, (pair & 1) == 0);
                duel.check().run();
                if (pair >= 0) {
                    measured.add(times);
                }
            }
        } catch (Workbench.UnavailableException e) {
            return new Outcome.Skipped(scenario, e.getMessage());
        } catch (Exception e) {
            return new Outcome.Failed(scenario, e);
        }
        return new Outcome.Measured(scenario, measured);
    }

    private static Outcome.Pair turns(Duel duel, Scenario scenario, boolean oursFirst) throws Exception {
        if (oursFirst) {
            long ours = settledRun(duel.ours(), scenario);
            return new Outcome.Pair(ours, settledRun(duel.peer(), scenario));
        }
        long peer = settledRun(duel.peer(), scenario);
        return new Outcome.Pair(settledRun(duel.ours(), scenario), peer);
    }

    private static long settledRun(Contestant contestant, Scenario scenario) throws Exception {
        new ProcessBuilder("sync").start().waitFor();
        Workbench.warm(scenario.workingSetBytes());
        return contestant.run();
    }
}
