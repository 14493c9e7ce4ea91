package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A path is bytes, whatever the locale makes of them. */
class ForeignLocaleTest {
    @ParameterizedTest
    @ValueSource(strings = {"C", "C.UTF-8"})
    void aStoreIsMadeUnderTheNameThatWasGiven(String locale, @TempDir Path directory, ChildProcesses children)
            throws Exception {
        // The shell writes bytes: this JVM's own locale may not have the letters either.
        shell(children, directory, "mkdir \"$(printf 'gr\\303\\266\\303\\237e')\"");
        ProcessBuilder builder = new ProcessBuilder(List.of(
                ProcessHandle.current().info().command().orElseThrow(), "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"), MakesStores.class.getName(), directory.toString()));
        builder.environment().put("LC_ALL", locale);
        ChildProcess.Exit exit = children.start(builder).awaitExit();
        assertThat(exit.status()).as(exit.errors()).isZero();
        assertThat(shell(children, directory, "cat \"$(printf 'gr\\303\\266\\303\\237e')\"/store.json; ls | wc -l"))
                .contains("\"format\": 1").endsWith("1");
    }

    private static String shell(ChildProcesses children, Path directory, String script) throws Exception {
        ChildProcess.Exit exit = children.start(
                new ProcessBuilder("sh", "-c", script).directory(directory.toFile())).awaitExit();
        assertThat(exit.status()).as(exit.errors()).isZero();
        return exit.output().strip();
    }

    /** Makes a store of every directory in a directory, and opens it again. */
    static final class MakesStores {
        private MakesStores() {
        }

        public static void main(String[] arguments) throws IOException {
            try (DirectoryStream<Path> found = Files.newDirectoryStream(Path.of(arguments[0]))) {
                for (Path path : found) {
                    DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE).close();
                    DirectoryStore.open(Posix.host(), path, StoreOptions.PRIVATE).close();
                }
            }
        }
    }
}
