package io.microsnap.hvf.internal.binding;

/** Names the results of Hypervisor.framework's functions ({@code hv_return_t}) and says what to do about them. */
public enum HvReturn {
    HV_SUCCESS(0, ""),
    HV_ERROR(0xfae9_4001, ""),
    HV_BUSY(0xfae9_4002, "the VM, the vCPU or this thread is in use: a process has one VM, a thread one vCPU"),
    HV_BAD_ARGUMENT(0xfae9_4003, ""),
    HV_ILLEGAL_GUEST_STATE(0xfae9_4004, "the guest's registers do not form a state that the processor can enter"),
    HV_NO_RESOURCES(0xfae9_4005, "the system has no room for it; close other VMs or use fewer vCPUs"),
    HV_NO_DEVICE(0xfae9_4006, "this process has no VM"),
    HV_DENIED(0xfae9_4007, HvReturn.ENTITLEMENT),
    HV_FAULT(0xfae9_4008, "the range is mapped already, or not mapped at all"),
    HV_UNSUPPORTED(0xfae9_400f, "this macOS or this processor lacks it; if nothing works at all, "
            + HvReturn.ENTITLEMENT),
    /** A result that this version of microsnap does not know. */
    UNKNOWN(-1, "");

    private static final String ENTITLEMENT = "the java launcher needs the entitlement com.apple.security.hypervisor:"
            + " copy the JDK and sign its bin/java ad hoc with it (docs/running-on-macos.md has the commands)";

    private final int number;
    private final String remedy;

    HvReturn(int number, String remedy) {
        this.number = number;
        this.remedy = remedy;
    }

    /** Returns the name of a raw result. */
    public static HvReturn of(int number) {
        for (HvReturn known : values()) {
            if (known.number == number && known != UNKNOWN) {
                return known;
            }
        }
        return UNKNOWN;
    }

    /** Returns the raw result. */
    public int number() {
        return number;
    }

    /** Returns what the reader of a failure can do; empty if there is no general advice. */
    public String remedy() {
        return remedy;
    }
}
