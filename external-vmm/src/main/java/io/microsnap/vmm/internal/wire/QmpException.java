package io.microsnap.vmm.internal.wire;

import io.microsnap.core.SnapshotException;

/** QEMU refused a command. */
public final class QmpException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final String errorClass;

    QmpException(String command, String errorClass, String description) {
        super("QEMU refused '" + command + "': " + description.replaceAll("\\p{Cntrl}", " "));
        this.errorClass = errorClass;
    }

    /** Returns the kind of refusal, in QEMU's words. */
    public String errorClass() {
        return errorClass;
    }
}
