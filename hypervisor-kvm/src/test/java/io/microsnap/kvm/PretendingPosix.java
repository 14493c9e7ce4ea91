package io.microsnap.kvm;

import io.microsnap.core.posix.Posix;
import io.microsnap.kvm.abi.Capability;
import io.microsnap.kvm.abi.Request;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Map;

/** The real system calls, but KVM answers some capabilities as a test says, and that kernel's calls are missing. */
public final class PretendingPosix {
    private PretendingPosix() {
    }

    /** A KVM that answers so; what it answers with zero it does not offer. */
    public static Posix answering(Map<Capability, Integer> answers) {
        Posix real = Posix.host();
        return (Posix) Proxy.newProxyInstance(Posix.class.getClassLoader(), new Class<?>[] {Posix.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("ioctl")
                            && arguments[1].equals(Request.KVM_CHECK_EXTENSION.number())) {
                        for (Map.Entry<Capability, Integer> answer : answers.entrySet()) {
                            if (arguments[2].equals((long) answer.getKey().number())) {
                                return answer.getValue();
                            }
                        }
                    }
                    try {
                        return method.invoke(real, arguments);
                    } catch (InvocationTargetException thrown) {
                        throw thrown.getCause();
                    }
                });
    }
}
