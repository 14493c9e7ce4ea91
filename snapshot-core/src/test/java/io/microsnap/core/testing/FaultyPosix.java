package io.microsnap.core.testing;

import io.microsnap.core.internal.file.PopulatedRanges;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.ObjLongConsumer;

/**
 * Real system calls with planned faults. It counts calls, makes the one that a plan names fail, fall short, be
 * interrupted or be the last, and knows what was opened and mapped through it, so that a test can see a leak.
 *
 * <p>A sweep first runs the operation on an instance without a plan to learn {@link #calls()}, then once for each
 * position with a new instance. Positions count from 1. What cannot fail ({@code constants}, {@code getpagesize},
 * {@code gettid}, {@code dlsym}, {@code memcmp}) is not counted. Plans are made before the calls; the calls may come
 * from any thread.
 */
public final class FaultyPosix {
    private static final Set<String> NOT_COUNTED = Set.of("constants", "getpagesize", "gettid", "dlsym", "memcmp");
    private static final Set<String> TRANSFERS = Set.of("pread", "pwrite", "preadv2", "pwritev2",
            "copy_file_range");
    private static final Set<String> RELEASES = Set.of("close", "munmap");
    private static final int SIGKILL = 9;

    private final Posix real;
    private final Posix faulty;
    private final List<Plan> plans = new ArrayList<>();
    private final Map<String, Integer> callsByName = new HashMap<>();
    private final Set<Integer> descriptors = new TreeSet<>();
    private final MappedRanges mapped = new MappedRanges();
    private int calls;
    private int deadFrom = Integer.MAX_VALUE;
    private boolean struck;
    private int pageBytes;
    private Consumer<Call> before = call -> { };
    private ObjLongConsumer<Call> after = (call, result) -> { };

    private FaultyPosix(Posix real) {
        this.real = real;
        faulty = (Posix) Proxy.newProxyInstance(Posix.class.getClassLoader(), new Class<?>[] {Posix.class},
                handler());
    }

    /** Over the operating system of this machine. */
    public static FaultyPosix host() {
        return over(Posix.host());
    }

    /** Over other calls, such as a stand-in for another platform's. */
    public static FaultyPosix over(Posix real) {
        return new FaultyPosix(real);
    }

    /** The calls, to be handed to what is under test. */
    public Posix posix() {
        return faulty;
    }

    /** How many calls were made, of any name. */
    public synchronized int calls() {
        return calls;
    }

    /** How many calls of one name were made. */
    public synchronized int calls(String name) {
        return callsByName.getOrDefault(name, 0);
    }

    /** How many calls of each name were made. */
    public synchronized Map<String, Integer> callsByName() {
        return Map.copyOf(callsByName);
    }

    /** Plans a fault for one call, whatever its name. */
    public Fault at(int position) {
        return new Fault("", position, position);
    }

    /** Plans a fault for one call of a name. */
    public Fault at(String name, int position) {
        return new Fault(name, position, position);
    }

    /** Plans a fault for every call of a name. */
    public Fault every(String name) {
        return new Fault(name, 1, Integer.MAX_VALUE);
    }

    /**
     * From this call on nothing is done any more, as if the process had been killed before it: every call throws
     * {@link Dead}, those of clean-up code included. {@link #bury()} then does what the kernel does for the dead.
     */
    public synchronized FaultyPosix deadFrom(int position) {
        deadFrom = position;
        return this;
    }

    /** Answers {@code getpagesize} like a host with larger pages. Addresses may be less aligned than those. */
    public FaultyPosix pretendPagesOf(int bytes) {
        pageBytes = bytes;
        return this;
    }

    /** Whether a plan has met its call and changed it. A short transfer of one byte, say, cannot be shortened. */
    public synchronized boolean struck() {
        return struck;
    }

    /** Sees every counted call before it is made; what it throws, the caller gets. */
    public FaultyPosix before(Consumer<Call> observer) {
        before = observer;
        return this;
    }

    /** Sees every counted call that was made, with its raw result. */
    public FaultyPosix after(ObjLongConsumer<Call> observer) {
        after = observer;
        return this;
    }

    /** The descriptors that were opened through this and not closed. */
    public synchronized List<Integer> openDescriptors() {
        return List.copyOf(descriptors);
    }

    /** How many bytes were mapped through this and not unmapped. */
    public synchronized long mappedBytes() {
        return mapped.bytes();
    }

    /** How many of those bytes have memory: nobody who touches them waits for it. */
    @SuppressWarnings("restricted")
    public synchronized long populatedBytes() throws IOException {
        List<MemorySegment> mappings = new ArrayList<>();
        mapped.forEach((address, bytes) -> mappings.add(MemorySegment.ofAddress(address).reinterpret(bytes)));
        long[] populated = {0};
        for (MemorySegment mapping : mappings) {
            PopulatedRanges.ofMemory(real, mapping, (offset, lengthBytes) -> populated[0] += lengthBytes);
        }
        return populated[0];
    }

    /**
     * Closes and unmaps what the dead left open, as the kernel does, which also gives back their locks. Nothing may
     * touch their memory afterwards.
     */
    public synchronized void bury() {
        if (deadFrom == Integer.MAX_VALUE) {
            throw new IllegalStateException("only the dead are buried: call deadFrom first");
        }
        deadFrom = 0;
        descriptors.forEach(real::close);
        descriptors.clear();
        mapped.forEach(real::munmap);
        mapped.clear();
    }

    /** One counted call: its position among all, its name, its arguments as in {@link Posix}. */
    public record Call(int position, String name, List<Object> arguments) {
        @Override
        public String toString() {
            return "call " + position + ", " + name;
        }
    }

    /** Thrown instead of doing anything once the process counts as killed. Nothing should catch it. */
    public static final class Dead extends Error {
        private static final long serialVersionUID = 1L;

        Dead(String message) {
            super(message, null, false, false);
        }
    }

    /** What shall happen to the calls of a plan. */
    public final class Fault {
        private final String name;
        private final int first;
        private final int last;

        private Fault(String name, int first, int last) {
            if (first < 1) {
                throw new IllegalArgumentException("calls count from 1, not from " + first);
            }
            this.name = name;
            this.first = first;
            this.last = last;
        }

        /** From the planned call on, all of them. */
        public Fault andLater() {
            return new Fault(name, first, Integer.MAX_VALUE);
        }

        /** The call does nothing and fails. ({@code close} and {@code munmap} release all the same, as on Linux.) */
        public FaultyPosix fails(Errno errno) {
            return add(Kind.FAILS, errno);
        }

        /** The call is interrupted before it has done anything. */
        public FaultyPosix isInterrupted() {
            return fails(Errno.EINTR);
        }

        /** The call transfers half of what was asked; calls that transfer nothing are made as they are. */
        public FaultyPosix fallsShort() {
            return add(Kind.SHORT, Errno.UNKNOWN);
        }

        /** The call transfers nothing and answers 0; calls that transfer nothing are made as they are. */
        public FaultyPosix transfersNothing() {
            return add(Kind.ZERO, Errno.UNKNOWN);
        }

        /** This process gets a real SIGKILL in place of the call. */
        public FaultyPosix killsTheProcess() {
            return add(Kind.KILL, Errno.UNKNOWN);
        }

        private FaultyPosix add(Kind kind, Errno errno) {
            synchronized (FaultyPosix.this) {
                plans.add(new Plan(name, first, last, kind, errno));
            }
            return FaultyPosix.this;
        }
    }

    private enum Kind {
        FAILS, SHORT, ZERO, KILL
    }

    private record Plan(String name, int first, int last, Kind kind, Errno errno) {
        boolean meets(Call call, int positionOfName) {
            int position = name.isEmpty() ? call.position() : positionOfName;
            return (name.isEmpty() || name.equals(call.name())) && position >= first && position <= last;
        }
    }

    private InvocationHandler handler() {
        return (proxy, method, arguments) -> {
            if (method.getDeclaringClass() == Object.class) {
                return ofObject(method, arguments);
            }
            if (pageBytes > 0 && method.getName().equals("getpagesize")) {
                return pageBytes;
            }
            if (NOT_COUNTED.contains(method.getName())) {
                return invoke(method, arguments);
            }
            return counted(method, arguments == null ? new Object[0] : arguments);
        };
    }

    private Object ofObject(Method method, Object[] arguments) {
        return switch (method.getName()) {
            case "equals" -> faulty == arguments[0];
            case "hashCode" -> System.identityHashCode(this);
            default -> "faulty " + real;
        };
    }

    private Object counted(Method method, Object[] arguments) throws Throwable {
        Call call;
        Plan plan;
        synchronized (this) {
            call = new Call(++calls, method.getName(), List.of(arguments));
            int ofName = callsByName.merge(call.name(), 1, Integer::sum);
            if (call.position() >= deadFrom) {
                throw new Dead("dead from call " + deadFrom + ": " + call + " is not made");
            }
            plan = plans.stream().filter(candidate -> candidate.meets(call, ofName)).findFirst().orElse(null);
        }
        before.accept(call);
        long result = plan == null ? perform(method, arguments) : strike(plan, call, method, arguments);
        after.accept(call, result);
        return method.getReturnType() == int.class ? (Object) (int) result : (Object) result;
    }

    private long strike(Plan plan, Call call, Method method, Object[] arguments) throws Throwable {
        boolean transfers = TRANSFERS.contains(call.name());
        switch (plan.kind()) {
            case FAILS -> {
                noteStruck();
                if (RELEASES.contains(call.name())) {
                    perform(method, arguments);
                }
                return -plan.errno().number(real.constants());
            }
            case SHORT -> {
                return perform(method, transfers ? shortened(call.name(), arguments) : arguments);
            }
            case ZERO -> {
                if (transfers) {
                    noteStruck();
                    return 0;
                }
                return perform(method, arguments);
            }
            case KILL -> {
                real.tgkill((int) ProcessHandle.current().pid(), real.gettid(), SIGKILL);
                throw new IllegalStateException("survived SIGKILL at " + call);
            }
        }
        throw new IllegalStateException("no such fault: " + plan.kind());
    }

    private Object[] shortened(String name, Object[] arguments) {
        Object[] less = arguments.clone();
        if (name.equals("copy_file_range")) {
            long length = (long) arguments[4];
            less[4] = half(length);
        } else if (name.endsWith("v2")) {
            less[1] = halfOf((MemorySegment) arguments[1]);
        } else {
            MemorySegment buffer = (MemorySegment) arguments[1];
            less[1] = buffer.asSlice(0, half(buffer.byteSize()));
        }
        return less;
    }

    /** The first of the buffers that an array of {@code iovec} names, and of that the half. */
    private MemorySegment halfOf(MemorySegment vectors) {
        MemorySegment first = Arena.ofAuto().allocate(2 * Long.BYTES, Long.BYTES).copyFrom(
                vectors.asSlice(0, 2 * Long.BYTES));
        long length = first.get(ValueLayout.JAVA_LONG, Long.BYTES);
        if (vectors.byteSize() > first.byteSize()) {
            noteStruck();
        }
        first.set(ValueLayout.JAVA_LONG, Long.BYTES, half(length));
        return first;
    }

    private long half(long length) {
        if (length > 1) {
            noteStruck();
        }
        return Math.max(Math.min(1, length), length / 2);
    }

    private synchronized void noteStruck() {
        struck = true;
    }

    private long perform(Method method, Object[] arguments) throws Throwable {
        long result = ((Number) invoke(method, arguments)).longValue();
        if (result >= 0) {
            remember(method.getName(), arguments, result);
        }
        return result;
    }

    private synchronized void remember(String name, Object[] arguments, long result) {
        switch (name) {
            case "openat", "memfd_create", "userfaultfd", "pidfd_open", "pidfd_getfd", "socket" ->
                    descriptors.add((int) result);
            case "fcntl" -> {
                if (arguments[1].equals(real.constants().F_DUPFD_CLOEXEC)) {
                    descriptors.add((int) result);
                }
            }
            case "close" -> descriptors.remove((int) arguments[0]);
            case "mmap" -> mapped.add(result, (long) arguments[1]);
            case "munmap" -> mapped.remove((long) arguments[0], (long) arguments[1]);
            default -> { }
        }
    }

    private Object invoke(Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(real, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }
}
