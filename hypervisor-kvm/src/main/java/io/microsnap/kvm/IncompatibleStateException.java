package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import java.util.List;

/** A machine state cannot be loaded here: the processor, KVM or the VM differ from those it was saved on. */
public final class IncompatibleStateException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final String[] differences;

    /** The message lists every difference. */
    IncompatibleStateException(List<String> differences) {
        super("this machine state cannot be loaded here: " + String.join("; ", differences)
                + ". Load it on a processor and kernel like those it was saved on, or start the guest anew");
        this.differences = differences.toArray(String[]::new);
    }

    /** Returns the differences, one in each entry. */
    public List<String> differences() {
        return List.of(differences);
    }
}
