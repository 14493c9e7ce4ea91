package io.microsnap.machine;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.WritePath;
import io.microsnap.dirty.testing.PacedWriters;
import io.microsnap.dirty.testing.TrackedGuest;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuExit;
import io.microsnap.kvm.VirtualMachine;
import io.microsnap.machine.Assembler.Register;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * A real guest that stores on request: it asks a port for an address and another for a value. Its memory is in
 * two regions, the second of them above 4 GiB and written through an alias; a third slot shows a part of the first
 * region once more. Each of its vCPUs takes its turn.
 */
public final class KvmTrackedGuest implements TrackedGuest {
    private static final long PAGE = 4096;
    private static final int VCPUS = 2;
    private static final long LOW_BYTES = 1000 * PAGE;
    private static final long HIGH_BYTES = 413 * PAGE;
    private static final long HIGH_ALIAS = 64 << 20;
    private static final long LOW_ALIAS = 128 << 20;
    private static final Region DOUBLY_SHOWN = new Region(200 * PAGE, 300 * PAGE);
    /** A page of code for each vCPU. */
    private static final long CODE = 40 * PAGE;
    private static final int ADDRESS_PORT = 0x70;
    private static final int VALUE_PORT = 0x74;

    private final Kvm kvm;
    private final GuestRam memory;
    private final VirtualMachine vm;
    private final List<Vcpu> vcpus = new ArrayList<>();
    /** Where each vCPU waits for an address, once it has run. */
    private final VcpuExit.PortAccess[] waiting = new VcpuExit.PortAccess[VCPUS];
    private int stores;

    /** Two vCPUs; small rings, so that they fill up. */
    public KvmTrackedGuest(DirtyTracking tracking) throws IOException {
        GuestLayout layout = GuestLayout.of((int) PAGE,
                List.of(new Region(0, LOW_BYTES), new Region(1L << 32, HIGH_BYTES)));
        kvm = Kvm.open();
        memory = GuestRam.memfd(Posix.host(), layout, HugePages.NONE);
        vm = kvm.createVirtualMachine(tracking, 512);
        vm.register(memory);
        vm.addAlias(new Region(HIGH_ALIAS, HIGH_BYTES), LOW_BYTES);
        vm.addAlias(new Region(LOW_ALIAS, DOUBLY_SHOWN.lengthBytes()), DOUBLY_SHOWN.guestAddress());
        byte[] code = new Assembler()
                .label("store")
                .in(ADDRESS_PORT)
                .move(Register.EDI, Register.EAX)
                .in(VALUE_PORT)
                .store(Register.EDI, Register.EAX)
                .jump("store")
                .assemble();
        for (int number = 0; number < VCPUS; number++) {
            long at = CODE + number * PAGE;
            MemorySegment.copy(code, 0, memory.mapping(0), ValueLayout.JAVA_BYTE, at, code.length);
            Vcpu vcpu = vm.createVcpu();
            SmallMachine.begin(vcpu, at);
            vcpus.add(vcpu);
        }
    }

    /** The VM, for those who look at it in another way. */
    public VirtualMachine vm() {
        return vm;
    }

    /** Its memory. */
    public GuestRam memory() {
        return memory;
    }

    @Override
    public GuestLayout layout() {
        return memory.layout();
    }

    @Override
    public DirtySource openSource() throws IOException {
        return vm.openDirtySource();
    }

    @Override
    public Set<WritePath> paths() {
        return EnumSet.of(WritePath.GUEST, WritePath.MAPPING);
    }

    @Override
    public void write(WritePath path, long[] pages, int value) throws IOException {
        for (long page : pages) {
            if (path == WritePath.GUEST) {
                store(vcpus.get(stores % vcpus.size()), page, value, stores % 3 == 0);
                stores++;
            } else {
                int region = layout().regionAt(page);
                memory.mapping(region).set(ValueLayout.JAVA_INT, page - layout().imageOffset(region), value);
            }
        }
    }

    @Override
    public Writing keepWriting(long seed) {
        List<PacedWriters.Writer> writers = new ArrayList<>();
        for (Vcpu vcpu : vcpus) {
            writers.add(random -> {
                long offset = random.nextLong(layout().lengthBytes() / PAGE) * PAGE;
                if (!writesByItself(offset)) {
                    store(vcpu, offset, random.nextInt(), random.nextBoolean());
                }
            });
        }
        return new PacedWriters(seed, writers);
    }

    /** One store by the guest; when this returns it waits at its port for the next. */
    private void store(Vcpu vcpu, long imageOffset, int value, boolean throughAlias) throws IOException {
        if (waiting[vcpu.index()] == null) {
            waiting[vcpu.index()] = runToPort(vcpu, ADDRESS_PORT);
        }
        waiting[vcpu.index()].data().set(ValueLayout.JAVA_INT_UNALIGNED, 0, (int) address(imageOffset, throughAlias));
        runToPort(vcpu, VALUE_PORT).data().set(ValueLayout.JAVA_INT_UNALIGNED, 0, value);
        waiting[vcpu.index()] = runToPort(vcpu, ADDRESS_PORT);
    }

    private VcpuExit.PortAccess runToPort(Vcpu vcpu, int port) throws IOException {
        while (true) {
            VcpuExit exit = vcpu.run();
            if (exit instanceof VcpuExit.PortAccess access && access.port() == port && !access.out()) {
                return access;
            }
            if (exit == VcpuExit.Plain.DIRTY_RING_FULL) {
                vm.dirtyRingFull();
            } else if (exit != VcpuExit.Plain.INTERRUPTED) {
                throw new IllegalStateException("the guest left for " + exit + " instead of port " + port);
            }
        }
    }

    private long address(long imageOffset, boolean throughAlias) {
        if (imageOffset >= LOW_BYTES) {
            return HIGH_ALIAS + (imageOffset - LOW_BYTES);
        }
        boolean shownTwice = imageOffset >= DOUBLY_SHOWN.guestAddress() && imageOffset < DOUBLY_SHOWN.end();
        return throughAlias && shownTwice ? LOW_ALIAS + (imageOffset - DOUBLY_SHOWN.guestAddress()) : imageOffset;
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
    public boolean writesByItself(long imageOffset) {
        return imageOffset >= CODE && imageOffset < CODE + vcpus.size() * PAGE;
    }

    @Override
    public void close() throws IOException {
        try (kvm; memory) {
            vm.close();
        }
    }
}
