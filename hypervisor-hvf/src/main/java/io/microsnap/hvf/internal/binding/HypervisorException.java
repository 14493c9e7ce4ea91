package io.microsnap.hvf.internal.binding;

import io.microsnap.core.SnapshotException;

/** Hypervisor.framework refused a call, or is missing. The message says why, and what to do. */
public final class HypervisorException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    private final HvReturn result;

    private HypervisorException(String message, HvReturn result, Throwable cause) {
        super(message, cause);
        this.result = result;
    }

    /**
     * Returns the exception for a raw result.
     *
     * @param number the raw result
     * @param call the function
     * @param detail what was attempted, such as the range; may be empty
     */
    public static HypervisorException of(int number, String call, String detail) {
        HvReturn result = HvReturn.of(number);
        String name = result == HvReturn.UNKNOWN ? "0x" + Integer.toHexString(number) : result.name();
        return new HypervisorException(call + (detail.isEmpty() ? "" : " " + detail) + " failed with " + name
                + (result.remedy().isEmpty() ? "" : ": " + result.remedy()), result, null);
    }

    /** Returns the exception for a system on which the framework cannot be used at all. */
    static HypervisorException unavailable(String reason, Throwable cause) {
        return new HypervisorException("Hypervisor.framework cannot be used: " + reason, HvReturn.HV_UNSUPPORTED,
                cause);
    }

    /** Returns why the call failed. */
    public HvReturn result() {
        return result;
    }
}
