package io.microsnap.dirty.testing;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.WritePath;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** The contract's suite finds sources that break it. */
class DirtySourceContractTest {
    private static final GuestLayout LAYOUT = ScriptedGuest.LAYOUT;
    private static final long PAGE = LAYOUT.pageBytes();
    private static final WritePath[] BLIND =
            {WritePath.MAPPING, WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD};

    @Test
    void itFindsASourceThatForgetsTheLastPage() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, BLIND) {
            @Override
            public void harvest(DirtyBitmap into) throws IOException {
                super.harvest(into);
                into.clear(LAYOUT.lengthBytes() - PAGE, PAGE);
            }
        })).contains("everyPageWrittenIsReportedAndNoOther", "aHarvestAddsToWhatIsThere",
                "randomProgramsAreReportedExactly");
    }

    @Test
    void itFindsASourceThatReplacesWhatTheBitmapHolds() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, BLIND) {
            @Override
            public void harvest(DirtyBitmap into) throws IOException {
                into.clear();
                super.harvest(into);
            }
        })).containsExactly("aHarvestAddsToWhatIsThere");
    }

    @Test
    void itFindsASourceThatReportsNeighbours() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, BLIND) {
            @Override
            public void guestWrites(long offset, long lengthBytes) {
                super.guestWrites(offset, Math.min(lengthBytes + PAGE, LAYOUT.lengthBytes() - offset));
            }
        })).contains("everyPageWrittenIsReportedAndNoOther", "armingAgainBeginsAnew");
    }

    @Test
    void itFindsASourceThatLosesAWriteNowAndThen() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, BLIND) {
            private int calls;

            @Override
            public void guestWrites(long offset, long lengthBytes) {
                if (++calls % 2 != 0) {
                    super.guestWrites(offset, lengthBytes);
                }
            }
        })).contains("aBaseAndTheEpochsOfARunningGuestMakeItsFinalMemory");
    }

    @Test
    void itFindsASourceThatClaimsToSeeWhatItDoesNot() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, WritePath.DISCARD)))
                .containsExactly("itSeesEveryWayOfWritingThatItDoesNotDisclaimAndTheOthersNeedTheirMarks");
    }

    @Test
    void itFindsASourceThatRemembersWhatCameBeforeArming() {
        assertThat(failuresOf(() -> new ScriptedSource(LAYOUT, BLIND) {
            @Override
            public void arm() throws IOException {
                DirtyBitmap before = DirtyBitmap.of(LAYOUT);
                if (calls().contains("arm")) {
                    harvest(before);
                }
                super.arm();
                before.runs(0, this::guestWrites);
            }
        })).contains("armingAgainBeginsAnew");
    }

    private static Set<String> failuresOf(Supplier<ScriptedSource> broken) {
        Set<String> failures = new TreeSet<>();
        Arrays.stream(DirtySourceContract.class.getDeclaredMethods())
                .filter(method -> method.isAnnotationPresent(Test.class))
                .filter(method -> fails(method, broken.get()))
                .forEach(method -> failures.add(method.getName()));
        return failures;
    }

    private static boolean fails(Method method, ScriptedSource source) {
        DirtySourceContract contract = new DirtySourceContract() {
            @Override
            protected TrackedGuest openGuest() {
                return new ScriptedGuest(source);
            }

            @Override
            protected int harvestsWhileRunning() {
                return 20;
            }
        };
        try {
            contract.open();
            try {
                method.invoke(contract, method.getParameterCount() == 0 ? new Object[0] : new Object[] {new Seed(1)});
                return false;
            } catch (InvocationTargetException failure) {
                return true;
            } finally {
                contract.close();
            }
        } catch (IOException | ReflectiveOperationException unexpected) {
            throw new AssertionError(unexpected);
        }
    }
}
