package io.microsnap.hvf;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.WritePath;
import io.microsnap.dirty.testing.PacedWriters;
import io.microsnap.dirty.testing.TrackedGuest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A guest of four vCPUs that stores on request: each asks by a hypercall for an address and a value, until there
 * are no more for it. Its program is in the first page, behind the bytes that are stored to.
 */
final class StoringGuest implements TrackedGuest {
    static final int VCPUS = 4;
    static final int HYPERCALL = 0x16;
    private static final int CODE = 0x100;
    private static final long AT_EL1_WITH_INTERRUPTS_MASKED = 0x3c5;

    private final GuestRam memory;
    private final VirtualMachine vm;
    private final List<Vcpu> vcpus = new ArrayList<>();
    private final List<Queue<Store>> stores = new CopyOnWriteArrayList<>();
    private final ExitHandler others;

    private record Store(long imageOffset, int value) {
    }

    StoringGuest(Hvf hvf) throws IOException {
        this(hvf, (vcpu, exit) -> {
            throw new IllegalStateException("vCPU " + vcpu.index() + " left for " + exit);
        });
    }

    /** What does not concern stores goes to the handler. */
    StoringGuest(Hvf hvf, ExitHandler others) throws IOException {
        this.others = others;
        memory = TestHost.memory();
        vm = hvf.createVirtualMachine(MachineSpec.ofVcpus(VCPUS), memory);
        new A64().label("next").call(1).storeWord(1, 0).jump("next").writeTo(memory.mapping(0), CODE);
        for (int index = 0; index < VCPUS; index++) {
            stores.add(new ArrayDeque<>());
            Vcpu vcpu = vm.createVcpu(this::serve);
            vcpu.call(own -> {
                own.set(Register.CPSR, AT_EL1_WITH_INTERRUPTS_MASKED);
                own.set(Register.PC, layout().guestAddress(CODE));
                return own;
            });
            vcpu.resume();
            vcpus.add(vcpu);
        }
    }

    private boolean serve(Vcpu vcpu, VcpuExit exit) throws IOException {
        if (exit.exceptionClass() != HYPERCALL) {
            return others.handle(vcpu, exit);
        }
        Store next = stores.get(vcpu.index()).poll();
        if (next == null) {
            // When it is started again, it asks again.
            vcpu.set(Register.PC, vcpu.get(Register.PC) - 4);
            return false;
        }
        vcpu.set(Register.X0, layout().guestAddress(next.imageOffset()));
        vcpu.set(Register.X1, next.value());
        return true;
    }

    VirtualMachine vm() {
        return vm;
    }

    GuestRam memory() {
        return memory;
    }

    /** Has a vCPU store; when this returns it is off again. */
    void store(int vcpu, long imageOffset, int value) throws IOException {
        begin(vcpu, List.of(new Store(imageOffset, value)));
        vcpus.get(vcpu).awaitParked();
    }

    /** Has a vCPU store, and does not wait. */
    void beginStore(int vcpu, long imageOffset, int value) throws IOException {
        begin(vcpu, List.of(new Store(imageOffset, value)));
    }

    void await(int vcpu) throws IOException {
        vcpus.get(vcpu).awaitParked();
    }

    private void begin(int vcpu, List<Store> all) throws IOException {
        vcpus.get(vcpu).call(own -> {
            stores.get(vcpu).addAll(all);
            own.start();
            return own;
        });
    }

    @Override
    public GuestLayout layout() {
        return memory.layout();
    }

    @Override
    public DirtySource openSource() {
        return vm.openDirtySource();
    }

    @Override
    public Set<WritePath> paths() {
        return EnumSet.of(WritePath.GUEST, WritePath.MAPPING);
    }

    @Override
    public void write(WritePath path, long[] pages, int value) throws IOException {
        List<List<Store>> each = new ArrayList<>();
        for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
            each.add(new ArrayList<>());
        }
        for (int index = 0; index < pages.length; index++) {
            if (path == WritePath.GUEST) {
                each.get(index % VCPUS).add(new Store(pages[index], value));
            } else {
                int region = layout().regionAt(pages[index]);
                memory.mapping(region).set(ValueLayout.JAVA_INT, pages[index] - layout().imageOffset(region), value);
            }
        }
        for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
            begin(vcpu, each.get(vcpu));
        }
        for (Vcpu vcpu : vcpus) {
            vcpu.awaitParked();
        }
    }

    @Override
    public Writing keepWriting(long seed) {
        List<PacedWriters.Writer> writers = new ArrayList<>();
        for (int index = 0; index < VCPUS; index++) {
            int vcpu = index;
            writers.add(random -> store(vcpu, random.nextLong(layout().pageCount()) * TestHost.PAGE, random.nextInt()));
        }
        return new PacedWriters(seed, writers);
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) {
        long done = 0;
        while (done < destination.byteSize()) {
            int region = layout().regionAt(imageOffset + done);
            MemorySegment mapping = memory.mapping(region);
            long at = imageOffset + done - layout().imageOffset(region);
            long piece = Math.min(mapping.byteSize() - at, destination.byteSize() - done);
            MemorySegment.copy(mapping, at, destination, done, piece);
            done += piece;
        }
    }

    @Override
    public void close() throws IOException {
        try (memory) {
            vm.close();
        }
    }
}
