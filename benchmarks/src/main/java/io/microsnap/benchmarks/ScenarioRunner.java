package io.microsnap.benchmarks;

import io.microsnap.store.internal.Printable;
import java.util.ArrayList;
import java.util.List;

/**
 * Measures a scenario so that its ratio means something: memory warmed before each run, both sides in turn (A B B A) so
 * that what drifts hits both and each bears as often what the comparison before it left behind, nothing left to do from
 * the run before, and the outputs compared after every pair.
 *
 * <p>The first pair comes before any warm-up: what the first use costs in a new JVM.
 */
final class ScenarioRunner {
    private static final int LONGEST_REASON = 2000;

    private final boolean quickly;
    private final int pairs;

    /**
     * @param quickly whether to keep the second pair also where nothing but the first has warmed this JVM up
     * @param pairs pairs that are kept
     */
    ScenarioRunner(boolean quickly, int pairs) {
        this.quickly = quickly;
        this.pairs = pairs;
    }

    Outcome run(Scenario scenario) {
        List<Outcome.Pair> measured = new ArrayList<>();
        try (Workbench workbench = new Workbench()) {
            workbench.require(scenario.workingSetBytes(), scenario.diskBytes());
            Duel duel = scenario.prepare(workbench);
            // Bytes are counted: a second count would say the same.
            boolean counted = scenario.unit() == Unit.BYTES;
            Outcome.Pair first = turns(workbench, duel, scenario, true);
            duel.check().run();
            if (duel.warmUp().isPresent()) {
                duel.warmUp().get().run();
            } else if (!quickly && !counted) {
                turns(workbench, duel, scenario, false);
                duel.check().run();
            }
            duel.readings().forget();
            for (int pair = 0; pair < (counted ? 1 : pairs); pair++) {
                measured.add(turns(workbench, duel, scenario, (pair & 1) == 0));
                duel.check().run();
            }
            return new Outcome.Measured(first, measured, duel.readings().medians());
        } catch (Workbench.UnavailableException e) {
            return new Outcome.LeftOut(reason(e.getMessage()));
        } catch (Exception e) {
            e.printStackTrace();
            return new Outcome.Failed(reason(e.toString()));
        }
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

    /** One line of plain characters, as a file can hold it. */
    private static String reason(String message) {
        String plain = Printable.whole(message == null ? "no reason is known" : message);
        return plain.length() <= LONGEST_REASON ? plain : plain.substring(0, LONGEST_REASON);
    }
}
