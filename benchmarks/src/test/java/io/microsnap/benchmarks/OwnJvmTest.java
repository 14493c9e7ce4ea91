package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
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
        assertThat(OwnJvm.run(ShortLived.class)).isEqualTo(7);
    }

    /** Does what the command does for each of many scenarios. */
    static final class Parent {
        public static void main(String[] arguments) throws Exception {
            OwnJvm.run(Child.class);
        }
    }

    /** Runs for as long as it is let. */
    static final class Child {
        public static void main(String[] arguments) throws Exception {
            OwnJvm.endWithParent();
            System.out.println("child " + ProcessHandle.current().pid());
            new CountDownLatch(1).await();
        }
    }

    /** Is soon done. */
    static final class ShortLived {
        public static void main(String[] arguments) {
            OwnJvm.endWithParent();
            System.exit(7);
        }
    }
}
