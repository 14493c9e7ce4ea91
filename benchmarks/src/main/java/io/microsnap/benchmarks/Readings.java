package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Collects what a scenario measures beside its time, run by run. */
public final class Readings {
    private final Map<String, Values> values = new LinkedHashMap<>();

    private record Values(Unit unit, List<Long> ours, List<Long> peer) {
    }

    /** Adds what one run of ours needed. */
    void ours(String name, Unit unit, long value) {
        of(name, unit).ours.add(value);
    }

    /** Adds what one run of the peer needed. */
    void peer(String name, Unit unit, long value) {
        of(name, unit).peer.add(value);
    }

    /** Forgets the runs that only warmed up. */
    void forget() {
        values.clear();
    }

    /** Returns the median of each. */
    List<Reading> medians() {
        List<Reading> medians = new ArrayList<>();
        values.forEach((name, of) -> medians.add(new Reading(name, of.unit, median(of.ours), median(of.peer))));
        return medians;
    }

    private Values of(String name, Unit unit) {
        return values.computeIfAbsent(name, any -> new Values(unit, new ArrayList<>(), new ArrayList<>()));
    }

    private static long median(List<Long> values) {
        return values.isEmpty() ? Reading.NONE
                : Math.round(Spread.of(values.stream().mapToDouble(Long::doubleValue)).median());
    }
}
