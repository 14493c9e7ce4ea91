package io.microsnap.testsupport;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

final class ScratchFsTest {

    /** Makes a file system and a block device, says where, and waits to be killed. */
    static final class Owner {

        private Owner() {
        }

        public static void main(String[] arguments) throws Exception {
            try (ScratchFs scratchFs = ScratchFs.start()) {
                System.out.println("mounted " + scratchFs.tinyFileSystem().orElseThrow());
                System.out.println("attached " + scratchFs.blockDevice(1 << 20).orElseThrow());
                System.in.read();
            }
        }
    }

    @Test
    void whatAKilledJvmHadIsCleanedUpAtOnce(@TinyFileSystem Path mountingWorksHere, ChildProcesses children)
            throws Exception {
        ChildProcess owner = children.java(Owner.class);
        String mount = lastWord(owner.awaitLine("mounted "));
        String device = lastWord(owner.awaitLine("attached "));
        ProcessHandle script = ProcessHandle.of(owner.pid()).orElseThrow().children().findFirst().orElseThrow();

        owner.kill();
        script.onExit().get(2, TimeUnit.MINUTES);

        assertThat(mounts(children)).doesNotContain(mount);
        assertThat(backingFiles(children)).doesNotContain(device + " ");
    }

    @Test
    void theNextStartCleansUpAfterADeadOwnerAndTouchesNoLivingOne(
            @TinyFileSystem Path mountingWorksHere, ChildProcesses children) {
        ChildProcess living = serve(children);
        String livingMount = make(living, "tiny");
        String livingDevice = make(living, "loop:1M");
        ChildProcess dead = serve(children);
        String deadMount = make(dead, "tiny");
        String deadDevice = make(dead, "loop:1M");

        dead.kill();
        assertThat(mounts(children)).contains(livingMount, deadMount);
        ChildProcess next = serve(children);
        make(next, "tiny");

        assertThat(mounts(children)).contains(livingMount).doesNotContain(deadMount);
        assertThat(backingFiles(children)).contains(livingDevice + " ").doesNotContain(deadDevice + " ");
        for (ChildProcess owner : List.of(living, next)) {
            owner.endInput();
            assertThat(owner.awaitExit().status()).isZero();
        }
        assertThat(mounts(children)).doesNotContain(livingMount);
        assertThat(backingFiles(children)).doesNotContain(livingDevice + " ");
    }

    @Test
    void anUnknownKindIsRefusedByName(ChildProcesses children) {
        ChildProcess script = serve(children);
        script.send("make zfs");
        assertThat(script.awaitLine("failed")).contains("no such kind: zfs");
    }

    private static ChildProcess serve(ChildProcesses children) {
        return children.command(Checkout.scratchFs().toString(), "serve");
    }

    private static String make(ChildProcess script, String what) {
        script.send("make " + what);
        return script.awaitLine("ready\t").split("\t", 2)[1];
    }

    private static String lastWord(String line) {
        return line.substring(line.lastIndexOf(' ') + 1);
    }

    private static String mounts(ChildProcesses children) {
        return children.command("findmnt", "--noheadings", "--raw", "--output", "TARGET").awaitExit().output();
    }

    private static String backingFiles(ChildProcesses children) {
        return children.command("losetup", "--noheadings", "--raw", "--output", "NAME,BACK-FILE").awaitExit().output();
    }
}
