package io.microsnap.core.internal.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ClosingTest {
    private final List<String> closed = new ArrayList<>();
    private final Closing closing = new Closing();

    @Test
    void theLastIsClosedFirstAndEachOnce() throws IOException {
        closing.add(() -> closed.add("first"));
        AutoCloseable second = closing.add(() -> closed.add("second"));
        closing.add(() -> closed.add("third"));
        closing.closeNow(second);
        assertThat(closed).containsExactly("second");
        closing.close();
        closing.close();
        assertThat(closed).containsExactly("second", "third", "first");
    }

    @Test
    void eachIsClosedThoughAnotherFailsAndNoFailureIsLost() {
        IOException early = new IOException("early");
        IllegalStateException late = new IllegalStateException("late");
        closing.add(() -> {
            throw late;
        });
        closing.add(() -> closed.add("between"));
        closing.add(() -> {
            throw early;
        });
        assertThatThrownBy(closing::close).isSameAs(early)
                .satisfies(thrown -> assertThat(thrown.getSuppressed()).containsExactly(late));
        assertThat(closed).containsExactly("between");
    }

    @Test
    void whatFailsWhileAFailureIsOnItsWayIsToldWithIt() {
        IOException reason = new IOException("reason");
        IOException second = new IOException("second");
        closing.add(() -> {
            throw second;
        });
        closing.closeAfter(reason);
        assertThat(reason.getSuppressed()).containsExactly(second);
    }
}
