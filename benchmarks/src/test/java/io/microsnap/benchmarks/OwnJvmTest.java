package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

final class OwnJvmTest {
    private static final int MOST_SECONDS = 60;

    @Test
    void endsWhenItsParentIsKilled(ChildProcesses children) throws Exception {
        ChildProcess parent = children.java(Parent.class);
        String line = parent.awaitLine("child ");
        long pid = Long.parseLong(line.substring(line.indexOf("child ") + "child ".length()).strip());
        ProcessHandle child = ProcessHandle.of(pid).orElseThrow();
        try {
            assertThat(parent.kill().wasKilled()).isTrue();

            child.onExit().get(MOST_SECONDS, TimeUnit.SECONDS);
        } finally {
            child.destroyForcibly();
        }
    }

    @Test
    void endsWithItsOwnStatusWhileItsParentLives() throws Exception {
        OwnJvm.Ended ended = OwnJvm.run(ShortLived.class);

        assertThat(ended.status()).isEqualTo(7);
        assertThat(ended.output()).isEqualTo("a row");
    }

    /** Does what the command does for each of many scenarios. */
    static final class Parent {
        public static void main(String[] arguments) throws Exception {
            // The child's output is its parent's alone.
            Thread.ofPlatform().daemon().start(() -> {
                List<ProcessHandle> started = List.of();
                while (started.isEmpty()) {
                    Thread.onSpinWait();
                    started = ProcessHandle.current().children().toList();
                }
                System.out.println("child " + started.getFirst().pid());
            });
            OwnJvm.run(Child.class);
        }
    }

    /** Runs for as long as it is let. */
    static final class Child {
        public static void main(String[] arguments) throws Exception {
            OwnJvm.endWithParent();
            new CountDownLatch(1).await();
        }
    }

    /** Is soon done. */
    static final class ShortLived {
        public static void main(String[] arguments) {
            OwnJvm.endWithParent();
            System.out.print("a row");
            System.exit(7);
        }
    }
}
