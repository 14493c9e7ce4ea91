package io.microsnap.vmm;

import io.microsnap.vmm.internal.qemu.QemuCommandLine;
import java.nio.file.Path;
import java.util.List;

/**
 * A directory with all files for one copy of a guest.
 *
 * @param directory the directory
 * @param lengthBytes the length of the guest's memory
 * @param cloned whether its memory shares blocks with the store
 * @param command the command that starts the VMM that waits for it; empty if the user knows the command
 * @param remarks what a person should know before starting it
 */
public record RestoredVmm(Path directory, long lengthBytes, boolean cloned, List<String> command,
        List<String> remarks) {
    /** Copies the collections. */
    public RestoredVmm {
        command = List.copyOf(command);
        remarks = List.copyOf(remarks);
    }

    /** Returns the words that start the VMM, quoted for a shell. */
    public String shellCommand() {
        return QemuCommandLine.quoted(command);
    }
}
