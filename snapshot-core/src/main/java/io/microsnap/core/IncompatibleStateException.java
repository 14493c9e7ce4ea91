package io.microsnap.core;

import java.util.List;

/** Says that a machine state cannot be loaded here: the processor, the hypervisor or the VM differ from the saved. */
public final class IncompatibleStateException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final String[] differences;

    /**
     * Lists every difference in the message.
     *
     * @param where where the state can be loaded
     */
    public IncompatibleStateException(List<String> differences, String where) {
        super("this machine state cannot be loaded here: " + String.join("; ", differences) + ". Load it " + where
                + ", or start the guest anew");
        this.differences = differences.toArray(String[]::new);
    }

    /** Returns the differences, one in each entry. */
    public List<String> differences() {
        return List.of(differences);
    }
}
