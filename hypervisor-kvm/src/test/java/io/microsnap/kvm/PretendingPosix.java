package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Map;

/** The real system calls, but KVM answers some capabilities as a test says, and that kernel's calls are missing. */
public final class PretendingPosix {
    private PretendingPosix() {
    }

    /** A KVM that answers so; what it answers with zero it does not offer. */
    public static Posix answering(Map<Capability, Integer> answers) {
        return over((request, argument, real) -> {
            if (request == Request.KVM_CHECK_EXTENSION.number()) {
                for (Map.Entry<Capability, Integer> answer : answers.entrySet()) {
                    if (argument.equals((long) answer.getKey().number())) {
                        return answer.getValue();
                    }
                }
            }
            return real.call();
        });
    }

    /** A KVM before Linux 6.15: of the processor's deadline timer its list of features does not tell. */
    public static Posix withoutDeadlineTimerInItsList() {
        return over((request, argument, real) -> {
            Object result = real.call();
            if (request == Request.KVM_GET_SUPPORTED_CPUID.number() && result.equals(0)) {
                MemorySegment list = (MemorySegment) argument;
                for (int entry = 0; entry < list.get(ValueLayout.JAVA_INT, 0); entry++) {
                    long at = Structs.KVM_CPUID2.byteSize() + entry * Structs.KVM_CPUID_ENTRY2.byteSize();
                    if (list.get(ValueLayout.JAVA_INT, at) == 1) {
                        long ecx = at + 20;
                        list.set(ValueLayout.JAVA_INT, ecx, list.get(ValueLayout.JAVA_INT, ecx) & ~(1 << 24));
                    }
                }
            }
            return result;
        });
    }

    /** A KVM that lists a register of the model which no processor has, before all others but one. */
    public static Posix listing(int register) {
        return over((request, argument, real) -> {
            Object result = real.call();
            if (request == Request.KVM_GET_MSR_INDEX_LIST.number() && result.equals(0)) {
                MemorySegment list = (MemorySegment) argument;
                int count = list.get(ValueLayout.JAVA_INT, 0);
                MemorySegment.copy(list, 2 * Integer.BYTES, list, 3 * Integer.BYTES, (count - 1L) * Integer.BYTES);
                list.set(ValueLayout.JAVA_INT, 2 * Integer.BYTES, register);
                list.set(ValueLayout.JAVA_INT, 0, count + 1);
            }
            return result;
        });
    }

    /** A KVM whose answer to one request is always the same error. */
    public static Posix failing(Request failing, Errno errno) {
        return over((request, argument, real) ->
                request == failing.number() ? -errno.number(Posix.host().constants()) : real.call());
    }

    /** A KVM that answers one request so, whatever it is asked. */
    public static Posix returning(Request answered, int answer) {
        return over((request, argument, real) -> request == answered.number() ? answer : real.call());
    }

    private interface Ioctl {
        Object answer(long request, Object argument, Real real) throws Throwable;
    }

    private interface Real {
        Object call() throws Throwable;
    }

    private static Posix over(Ioctl ioctl) {
        Posix host = Posix.host();
        return (Posix) Proxy.newProxyInstance(Posix.class.getClassLoader(), new Class<?>[] {Posix.class},
                (proxy, method, arguments) -> {
                    Real real = () -> {
                        try {
                            return method.invoke(host, arguments);
                        } catch (InvocationTargetException thrown) {
                            throw thrown.getCause();
                        }
                    };
                    return method.getName().equals("ioctl")
                            ? ioctl.answer((long) arguments[1], arguments[2], real) : real.call();
                });
    }
}
