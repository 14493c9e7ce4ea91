package io.microsnap.user;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A user's JVM needs the flags that the README names, names each that is missing, and prints nothing else. */
final class PlainJvmTest {
    private static final String WHOLE = "the machine is there\nrestored 6, state 42, 0 of 64 blocks";
    private static final String NATIVE_ACCESS = "--enable-native-access=";
    private static final String MISC = "--add-exports=java.base/jdk.internal.misc=";
    /** What a build resolves for a user of snapshot-memory. */
    private static final Pattern LIBRARIES = Pattern.compile("(agrona|chronicle-|slf4j-api|jackson-|snapshot-).*");

    @TempDir
    private Path directory;

    @Test
    void onTheClassPathTwoFlagsAreEnoughAndNothingIsHeard(ChildProcesses children) throws IOException {
        ChildProcess.Exit exit = onClassPath(children, NATIVE_ACCESS + "ALL-UNNAMED", MISC + "ALL-UNNAMED");
        assertThat(exit.errors()).isEmpty();
        assertThat(exit.output()).contains(WHOLE);
    }

    @Test
    void aMissingFlagIsNamedBeforeAnythingIsCaptured(ChildProcesses children) throws IOException {
        assertThat(onClassPath(children, NATIVE_ACCESS + "ALL-UNNAMED").errors())
                .contains("start it with " + MISC + "ALL-UNNAMED").doesNotContain("IllegalAccessError");
        ChildProcess.Exit denied = onClassPath(children, "--illegal-native-access=deny", MISC + "ALL-UNNAMED");
        assertThat(denied.errors()).contains("start it with " + NATIVE_ACCESS + "ALL-UNNAMED");
        assertThat(denied.output()).doesNotContain("the machine is there");
        assertThat(directory.resolve("store")).doesNotExist();
    }

    @Test
    void onTheModulePathTheSameFlagsNameTheModules(ChildProcesses children) throws IOException {
        List<String> paths = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
            Path path = Path.of(entry);
            boolean library = LIBRARIES.matcher(path.getFileName().toString()).matches()
                    && !entry.endsWith("-tests.jar");
            if (library || path.endsWith("target/classes")) {
                paths.add(entry);
            }
        }
        List<String> command = new ArrayList<>(List.of(
                "--module-path", String.join(File.pathSeparator, paths), "--add-modules", "io.microsnap.memory"));
        ChildProcess.Exit told = java(children, command, ownClasses());
        assertThat(told.errors()).contains("start it with " + MISC + "org.agrona");
        String flag = told.errors().lines().filter(line -> line.contains(MISC)).findFirst().orElseThrow();
        command.add(flag.substring(flag.indexOf(MISC)));
        command.add("--illegal-native-access=deny");
        command.add(NATIVE_ACCESS + "java.base");
        ChildProcess.Exit denied = java(children, command, ownClasses());
        assertThat(denied.errors()).contains("start it with " + NATIVE_ACCESS + "io.microsnap.core");
        command.removeLast();
        command.add(NATIVE_ACCESS + "io.microsnap.core");
        ChildProcess.Exit exit = java(children, command, ownClasses());
        assertThat(exit.errors()).isEmpty();
        assertThat(exit.output()).contains(WHOLE);
    }

    private ChildProcess.Exit onClassPath(ChildProcesses children, String... flags) throws IOException {
        return java(children, List.of(flags), System.getProperty("java.class.path"));
    }

    private ChildProcess.Exit java(ChildProcesses children, List<String> flags, String classPath) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(flags);
        command.addAll(List.of("-cp", classPath, UserProgram.class.getName(), directory.resolve("store").toString()));
        return children.command(command.toArray(String[]::new)).awaitExit();
    }

    /** The test classes, in whose package no module has a part. */
    private static String ownClasses() {
        return Path.of(UserProgram.class.getProtectionDomain().getCodeSource().getLocation().getPath()).toString();
    }
}
