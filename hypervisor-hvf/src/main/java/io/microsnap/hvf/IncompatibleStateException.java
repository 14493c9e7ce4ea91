package io.microsnap.hvf;

import io.microsnap.core.SnapshotException;
import java.util.List;

/** Says that a machine state cannot be loaded here: the processor, macOS or the VM differ from the saved one's. */
public final class IncompatibleStateException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final String[] differences;

    /** Lists every difference in the message. */
    IncompatibleStateException(List<String> differences) {
        super("this machine state cannot be loaded here: " + String.join("; ", differences)
                + ". Load it on the same kind of Mac and the same build of macOS, or start the guest anew");
        this.differences = differences.toArray(String[]::new);
    }

    /** Returns the differences, one in each entry. */
    public List<String> differences() {
        return List.of(differences);
    }
}
