package io.microsnap.testsupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

final class CCompilerTest {

    @Test
    void aProgramBesideItsClassIsCompiledWithItsHeaderAndRuns(CCompiler compiler, ChildProcesses children) {
        Path program = compiler.program(CCompilerTest.class, "answer.c", "answer.h");
        assertThat(children.command(program.toString()).awaitExit().output()).isEqualTo("42\n");
    }

    @Test
    void aLibraryExportsItsFunctions(CCompiler compiler) {
        assertThat(compiler.library(CCompilerTest.class, "answer.c", "answer.h")).isRegularFile();
    }

    @Test
    void whatDidNotChangeIsNotCompiledAgain(CCompiler compiler) throws Exception {
        Path first = compiler.program(CCompilerTest.class, "answer.c", "answer.h");
        Object key = Files.getAttribute(first, "unix:ino");
        Path second = compiler.program(CCompilerTest.class, "answer.c", "answer.h");
        assertThat(Files.getAttribute(second, "unix:ino")).isEqualTo(key);
    }

    @Test
    void aWarningIsAnErrorThatShowsWhatTheCompilerSaid(CCompiler compiler) {
        assertThatThrownBy(() -> compiler.program(CCompilerTest.class, "sloppy.c"))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("sloppy.c")
                .hasMessageContaining("unused");
    }

    @Test
    void aMissingSourceIsNamed(CCompiler compiler) {
        assertThatThrownBy(() -> compiler.program(CCompilerTest.class, "absent.c"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("absent.c");
    }
}
