package io.microsnap.memory.misuse;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Whatever users do wrong, the process lives, no guest gets wrong bytes, and nothing is left open. */
@EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere mappings are neither limited nor told")
class MisuseCampaignTest {
    @Test
    void aProcessSurvivesItsUsers(ChildProcesses children, Seed seed, @TempDir Path directory) {
        int rounds = Effort.choose(60, 200, 5000);
        ChildProcess.Exit exit = children.java(MisuseCampaign.class,
                directory.toString(), Long.toString(seed.value()), Integer.toString(rounds)).awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        assertThat(exit.output()).contains("survived " + rounds + " rounds");
    }
}
