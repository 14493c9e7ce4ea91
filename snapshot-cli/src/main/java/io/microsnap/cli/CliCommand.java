package io.microsnap.cli;

import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The common part of all commands: options, a console, and the handling of failures. */
abstract class CliCommand implements Callable<Integer> {
    @Mixin
    private CommonOptions common;

    @Spec
    private CommandSpec spec;

    /** Does the work and returns the exit status. */
    abstract int run(Console console) throws IOException;

    @Override
    public final Integer call() {
        Interruption interruption = Interruption.listen();
        try {
            return run(interruption);
        } catch (ParameterException usage) {
            throw usage;
        } catch (UnsupportedOperationException | ExceptionInInitializerError unsupported) {
            // There is no console yet, because the system calls of this machine are unknown.
            Throwable reason = unsupported.getCause() == null ? unsupported : unsupported.getCause();
            spec.commandLine().getErr().println("microsnap: " + Plain.text(Failure.of(reason).message()));
            return ExitStatus.FAILED;
        } finally {
            interruption.finished();
        }
    }

    private int run(Interruption interruption) {
        Console console = new Console(Posix.host(), common, interruption);
        try (Warnings _ = Warnings.printed(console)) {
            int status = run(console);
            console.finish();
            return status;
        } catch (ParameterException usage) {
            throw usage;
        } catch (Throwable cause) {
            // Errors of the JVM, too: running out of memory deserves as plain a message as a full disk.
            Failure failure = Failure.of(cause);
            console.fail(failure);
            return failure.status();
        }
    }

    /** Returns the exception for a mistake in the command line that only the command can find. */
    final ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
