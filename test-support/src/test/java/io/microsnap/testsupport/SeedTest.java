package io.microsnap.testsupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.testkit.engine.EventConditions.abortedWithReason;
import static org.junit.platform.testkit.engine.EventConditions.finishedWithFailure;
import static org.junit.platform.testkit.engine.TestExecutionResultConditions.instanceOf;
import static org.junit.platform.testkit.engine.TestExecutionResultConditions.message;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Events;
import org.opentest4j.TestAbortedException;

final class SeedTest {

    /** Run only by the test below. */
    @Tag("example")
    static final class Examples {

        @Test
        void fails(Seed seed) {
            throw new IllegalStateException("first draw " + seed.random().nextInt());
        }

        @Test
        void skips(Seed seed) {
            Assumptions.abort("not today");
        }
    }

    @Test
    void aFailureNamesTheSeedAndHowToRepeatIt() {
        String named = "seed (-?\\d+) \\(repeat with -Dmicrosnap.seed=\\1\\): first draw -?\\d+";
        examples().failed().assertThatEvents().haveExactly(1,
                finishedWithFailure(instanceOf(AssertionError.class), message(text -> text.matches(named))));
    }

    @Test
    void aSkipStaysASkip() {
        examples().aborted().assertThatEvents().haveExactly(1,
                abortedWithReason(instanceOf(TestAbortedException.class)));
    }

    @Test
    void oneSeedGivesOneSequence() {
        Seed seed = Seed.choose();
        assertThat(seed.random().longs(100)).containsExactly(seed.random().longs(100).boxed().toArray(Long[]::new));
    }

    private static Events examples() {
        return EngineTestKit.engine("junit-jupiter")
                .selectors(selectClass(Examples.class))
                .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
                .execute()
                .testEvents();
    }
}
