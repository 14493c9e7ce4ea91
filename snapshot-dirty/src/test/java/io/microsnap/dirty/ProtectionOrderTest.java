package io.microsnap.dirty;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.dirty.internal.ProtectionSource;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Why {@link ProtectionSource} does things in the order it does: one page, one guest that writes it twice, one
 * harvester that harvests twice beside it, in every way these may interleave. A last harvest after all that must find
 * whatever the copies lack.
 */
class ProtectionOrderTest {
    private enum Fault { ALLOW, SET }

    private enum Harvest { TAKE, PROTECT, COPY }

    private static final List<Fault> ALLOW_THEN_SET = List.of(Fault.ALLOW, Fault.SET);
    private static final List<Harvest> TAKE_PROTECT_COPY = List.of(Harvest.TAKE, Harvest.PROTECT, Harvest.COPY);

    @Test
    void theOrdersWeUseLoseNothing() {
        assertThat(losesWrites(ALLOW_THEN_SET, TAKE_PROTECT_COPY)).isFalse();
    }

    @Test
    void settingTheBitBeforeLettingTheWriteThroughLosesWrites() {
        assertThat(losesWrites(List.of(Fault.SET, Fault.ALLOW), TAKE_PROTECT_COPY)).isTrue();
    }

    @Test
    void protectingBeforeTakingTheBitsLosesWrites() {
        assertThat(losesWrites(ALLOW_THEN_SET, List.of(Harvest.PROTECT, Harvest.TAKE, Harvest.COPY))).isTrue();
    }

    @Test
    void copyingBeforeProtectingLosesWrites() {
        assertThat(losesWrites(ALLOW_THEN_SET, List.of(Harvest.TAKE, Harvest.COPY, Harvest.PROTECT))).isTrue();
        assertThat(losesWrites(ALLOW_THEN_SET, List.of(Harvest.COPY, Harvest.TAKE, Harvest.PROTECT))).isTrue();
    }

    private static boolean losesWrites(List<Fault> fault, List<Harvest> harvest) {
        return new Search(fault, harvest).loses(new State(false, false, 0, 0, false, 0, 0, 0, false));
    }

    /**
     * @param dirty the page's bit
     * @param writable whether the guest may write it
     * @param memory what the guest wrote last
     * @param copy what the snapshots hold
     * @param taken whether this harvest took the bit
     * @param writes how often the guest has written
     * @param faultStep how far the guest is in its fault handler
     * @param harvestSteps how far the harvester is
     * @param faulting whether the guest is in its fault handler
     */
    private record State(boolean dirty, boolean writable, int memory, int copy, boolean taken, int writes,
            int faultStep, int harvestSteps, boolean faulting) {
        State guest(boolean nowDirty, boolean nowWritable, int nowMemory, int nowStep, boolean nowFaulting) {
            return new State(nowDirty, nowWritable, nowMemory, copy, taken, Math.max(writes, nowMemory), nowStep,
                    harvestSteps, nowFaulting);
        }

        State harvester(boolean nowDirty, boolean nowWritable, int nowCopy, boolean nowTaken) {
            return new State(nowDirty, nowWritable, memory, nowCopy, nowTaken, writes, faultStep, harvestSteps + 1,
                    faulting);
        }
    }

    private record Search(List<Fault> fault, List<Harvest> harvest, Set<State> seen) {
        private static final int WRITES = 2;
        private static final int HARVESTS = 2;

        Search(List<Fault> fault, List<Harvest> harvest) {
            this(fault, harvest, new HashSet<>());
        }

        boolean loses(State state) {
            if (!seen.add(state)) {
                return false;
            }
            boolean guestDone = state.writes() == WRITES && !state.faulting();
            boolean harvesterDone = state.harvestSteps() == HARVESTS * harvest.size();
            if (guestDone && harvesterDone) {
                return !state.dirty() && state.copy() != state.memory();
            }
            return (!guestDone && loses(guestStep(state))) || (!harvesterDone && loses(harvestStep(state)));
        }

        private State guestStep(State state) {
            if (state.faulting()) {
                boolean allow = fault.get(state.faultStep()) == Fault.ALLOW;
                boolean last = state.faultStep() + 1 == fault.size();
                return state.guest(state.dirty() || !allow, state.writable() || allow, state.memory(),
                        last ? 0 : state.faultStep() + 1, !last);
            }
            return state.writable()
                    ? state.guest(state.dirty(), true, state.memory() + 1, 0, false)
                    : state.guest(state.dirty(), false, state.memory(), 0, true);
        }

        private State harvestStep(State state) {
            return switch (harvest.get(state.harvestSteps() % harvest.size())) {
                case TAKE -> state.harvester(false, state.writable(), state.copy(), state.dirty());
                case PROTECT -> state.harvester(state.dirty(), state.writable() && !mayProtect(state), state.copy(),
                        state.taken());
                case COPY -> state.harvester(state.dirty(), state.writable(),
                        state.taken() || !takenBeforeCopy() ? state.memory() : state.copy(), state.taken());
            };
        }

        /** A harvester that has taken the bits protects what it took; one that has not, all that is writable. */
        private boolean mayProtect(State state) {
            boolean takenFirst = harvest.indexOf(Harvest.TAKE) < harvest.indexOf(Harvest.PROTECT);
            return !takenFirst || state.taken();
        }

        private boolean takenBeforeCopy() {
            return harvest.indexOf(Harvest.TAKE) < harvest.indexOf(Harvest.COPY);
        }
    }
}
