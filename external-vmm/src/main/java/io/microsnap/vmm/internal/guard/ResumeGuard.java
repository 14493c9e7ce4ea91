package io.microsnap.vmm.internal.guard;

import io.microsnap.core.SnapshotException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Resumes a guest if this process dies in any way while it has the guest paused. The guard is a separate process,
 * started before the pause. It holds the other end of a pipe, so it notices when this end is closed. It ignores the
 * signals that a terminal sends to all processes.
 */
public final class ResumeGuard implements AutoCloseable {
    private final Process process;
    private final OutputStream pipe;
    private boolean armed;

    private ResumeGuard(Process process) {
        this.process = process;
        pipe = process.getOutputStream();
    }

    /**
     * Starts a guard that sends QMP commands, the first of which resumes.
     *
     * @param scratch a directory to remove, with the files in it, if this process dies
     */
    public static ResumeGuard overQmp(Path socket, Path scratch, List<String> commands) throws IOException {
        return start(socket, "qmp", scratch, commands);
    }

    /** Starts a guard that sends HTTP requests instead: method, path and body. */
    public static ResumeGuard overHttp(Path socket, Path scratch, List<String> requests) throws IOException {
        return start(socket, "http", scratch, requests);
    }

    private static ResumeGuard start(Path socket, String dialect, Path scratch, List<String> requests)
            throws IOException {
        List<String> command = new ArrayList<>(List.of("/bin/sh", "-c", "trap '' INT TERM HUP QUIT; exec \"$@\"",
                "microsnap-guard", Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx16m", "-cp", classPath(),
                GuardMain.class.getName(), socket.toAbsolutePath().toString(), dialect,
                scratch.toAbsolutePath().toString()));
        command.addAll(requests);
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().remove("JDK_JAVA_OPTIONS");
        builder.environment().remove("JAVA_TOOL_OPTIONS");
        Process process;
        try {
            process = builder.start();
        } catch (IOException failure) {
            throw new SnapshotException("cannot start the process that would resume the guest if this one died: "
                    + failure.getMessage(), failure);
        }
        try (BufferedReader said = process.inputReader()) {
            if (!GuardMain.READY.equals(said.readLine())) {
                throw new SnapshotException("the process that would resume the guest if this one died could not"
                        + " connect to " + socket + "; has the VMM ended?");
            }
            return new ResumeGuard(process);
        } catch (IOException | RuntimeException | Error failure) {
            process.destroyForcibly();
            throw failure;
        }
    }

    private static String classPath() throws IOException {
        try {
            return Path.of(GuardMain.class.getProtectionDomain().getCodeSource().getLocation().toURI()).toString();
        } catch (URISyntaxException noPath) {
            throw new SnapshotException("the guard's classes cannot be found", noPath);
        }
    }

    /** Makes the guard resume the guest if this process dies from now on. */
    public void arm() throws IOException {
        say(GuardMain.ARMED);
        armed = true;
    }

    /** Tells the guard that the guest runs again, or stays paused on purpose. */
    public void disarm() throws IOException {
        armed = false;
        say(GuardMain.DISARMED);
    }

    private void say(int what) throws IOException {
        try {
            pipe.write(what);
            pipe.flush();
        } catch (IOException gone) {
            throw new SnapshotException("the process that would resume the guest if this one died is gone;"
                    + " retry", gone);
        }
    }

    /** Dismisses the guard; one that is still armed resumes the guest now. */
    @Override
    public void close() throws IOException {
        if (!armed) {
            try {
                say(GuardMain.DISMISSED);
            } catch (IOException gone) {
                // A dismissed or dead guard does nothing any more.
                process.destroy();
            }
        }
        try {
            pipe.close();
        } catch (IOException gone) {
            process.destroy();
        }
    }
}
