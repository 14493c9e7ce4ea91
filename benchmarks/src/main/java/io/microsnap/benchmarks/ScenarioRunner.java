package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.List;

/**
 * Measures a scenario so that its ratio means something: memory warmed before each run, both sides in turn (A B B A) so
 * that what drifts hits both and each bears as often what the comparison before it left behind, nothing left to do from
 * the run before, and the outputs compared after every pair.
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
                Outcome.Pair times = turns(workbench, duel, scenario, (pair & 1) == 0);
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

    private static Outcome.Pair turns(Workbench workbench, Duel duel, Scenario scenario, boolean oursFirst)
            throws Exception {
        if (oursFirst) {
            long ours = settledRun(workbench, duel.ours(), scenario);
            return new Outcome.Pair(ours, settledRun(workbench, duel.peer(), scenario));
        }
        long peer = settledRun(workbench, duel.peer(), scenario);
        return new Outcome.Pair(settledRun(workbench, duel.ours(), scenario), peer);
    }

    private static long settledRun(Workbench workbench, Contestant contestant, Scenario scenario)
            throws Exception {
        workbench.settle();
        Workbench.warm(scenario.workingSetBytes());
        return contestant.run();
    }
}
