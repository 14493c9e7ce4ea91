package io.microsnap.hvf;

import io.microsnap.hvf.internal.binding.HypervisorFramework;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Stands between the module and the framework: remembers the calls, and lets a test act before each. */
final class Hooks {
    /**
     * A call.
     *
     * @param name of the function
     * @param arguments as they were
     */
    record Call(String name, List<Object> arguments) {
    }

    /** Acts before a call. */
    interface Hook {
        void before(Call call) throws Exception;
    }

    private final List<Call> calls = new CopyOnWriteArrayList<>();
    private final HypervisorFramework framework;
    private volatile Hook hook = call -> { };

    Hooks(HypervisorFramework over) {
        framework = (HypervisorFramework) Proxy.newProxyInstance(Hooks.class.getClassLoader(),
                new Class<?>[] {HypervisorFramework.class}, (proxy, method, arguments) -> {
                    Call call = new Call(method.getName(), arguments == null ? List.of() : List.of(arguments));
                    calls.add(call);
                    hook.before(call);
                    try {
                        return method.invoke(over, arguments);
                    } catch (InvocationTargetException thrown) {
                        throw thrown.getCause();
                    }
                });
    }

    HypervisorFramework framework() {
        return framework;
    }

    void before(Hook what) {
        hook = what;
    }

    void forget() {
        calls.clear();
    }

    List<Call> calls() {
        return List.copyOf(calls);
    }

    List<String> names() {
        return calls.stream().map(Call::name).toList();
    }
}
