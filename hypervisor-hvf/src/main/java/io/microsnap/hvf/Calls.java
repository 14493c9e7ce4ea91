package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;

/** Turns failed results into exceptions. */
final class Calls {
    private Calls() {
    }

    /** Throws if the call did not succeed. */
    static void check(int result, String call, Object detail) throws HypervisorException {
        if (result != HvReturn.HV_SUCCESS.number()) {
            throw HypervisorException.of(result, call, detail.toString());
        }
    }

    /** Tells whether the running system lacks what the call is about. */
    static boolean isAbsent(int result) {
        HvReturn known = HvReturn.of(result);
        return known == HvReturn.HV_UNSUPPORTED || known == HvReturn.HV_BAD_ARGUMENT;
    }
}
