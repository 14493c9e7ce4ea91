package io.microsnap.kvm;

import io.microsnap.core.DamagedException;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The state of an x86-64 VM beside its memory: of each vCPU its features, registers, floating point and vector state,
 * model-specific registers, local interrupt controller and pending events; of the VM its interrupt controllers, timer
 * and clock. Each part is a section, in KVM's own format, under a name that begins with {@code kvm.}.
 *
 * <p>Parts that the running KVM does not offer are left out, and listed. Before loading changes anything, the whole
 * state is checked against the VM and the KVM that will receive it.
 */
final class MachineState {
    private static final String PREFIX = "kvm.";
    private static final String SUMMARY = "kvm.machine";
    private static final String CLOCK = "kvm.clock";
    private static final String TIMER = "kvm.timer";
    private static final List<String> CHIPS = List.of("kvm.pic-master", "kvm.pic-slave", "kvm.ioapic");
    private static final String CPUID = "cpuid";
    private static final String MSRS = "msrs";
    /** How much the clocks of two processors may differ, in millionths: KVM tolerates as much. */
    private static final long TSC_TOLERANCE = 250;
    private static final int MILLION = 1_000_000;

    private static final VarHandle CHIP_ID = Structs.member(Structs.KVM_IRQCHIP, "chip_id");
    private static final VarHandle CLOCK_FLAGS = Structs.member(Structs.KVM_CLOCK_DATA, "flags");

    private final Summary summary;
    private final Map<String, MachineStateSection> sections;

    private MachineState(Summary summary, Map<String, MachineStateSection> sections) {
        this.summary = summary;
        this.sections = sections;
    }

    /**
     * The facts about the VM as a whole.
     *
     * @param vcpus how many
     * @param interruptChip whether it has KVM's interrupt controllers
     * @param timer whether it has KVM's interval timer
     * @param tscKilohertz the frequency of its processors' clock; zero if KVM does not report it
     * @param omitted the parts that KVM did not offer
     */
    private record Summary(int vcpus, boolean interruptChip, boolean timer, int tscKilohertz, List<String> omitted) {
        private static final int VERSION = 1;
        /** ELF's number for x86-64. */
        private static final int ARCHITECTURE = 62;
        private static final int INTERRUPT_CHIP = 1;
        private static final int TIMER = 2;
        private static final int MOST_VCPUS = 4096;
        private static final int LONGEST = 64 << 10;
        private static final int FIXED = 5 * Integer.BYTES;

        ByteBuffer encoded() {
            byte[] names = String.join("\n", omitted).getBytes(StandardCharsets.US_ASCII);
            return ByteBuffer.allocate(FIXED + names.length).order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(VERSION).putInt(ARCHITECTURE).putInt(vcpus)
                    .putInt((interruptChip ? INTERRUPT_CHIP : 0) | (timer ? TIMER : 0)).putInt(tscKilohertz)
                    .put(names).flip();
        }

        static Summary decoded(ByteBuffer from) throws IOException {
            if (from.remaining() < FIXED || from.remaining() > LONGEST) {
                throw new DamagedException("machine state section " + SUMMARY + " has " + from.remaining()
                        + " bytes, " + FIXED + " to " + LONGEST + " expected");
            }
            from.order(ByteOrder.LITTLE_ENDIAN);
            int version = from.getInt();
            int architecture = from.getInt();
            List<String> differences = new ArrayList<>();
            if (version != VERSION) {
                differences.add("it is of version " + version + ", this microsnap reads version " + VERSION);
            }
            if (architecture != ARCHITECTURE) {
                differences.add("it is of architecture " + architecture + " (ELF's number), this is x86-64");
            }
            if (!differences.isEmpty()) {
                throw incompatible(differences);
            }
            int vcpus = from.getInt();
            int flags = from.getInt();
            if (vcpus <= 0 || vcpus > MOST_VCPUS || (flags & ~(INTERRUPT_CHIP | TIMER)) != 0) {
                throw new DamagedException("machine state section " + SUMMARY + " names " + vcpus
                        + " vCPUs and flags 0x" + Integer.toHexString(flags));
            }
            int tscKilohertz = from.getInt();
            String names = StandardCharsets.US_ASCII.decode(from).toString();
            return new Summary(vcpus, (flags & INTERRUPT_CHIP) != 0, (flags & TIMER) != 0, tscKilohertz,
                    names.isEmpty() ? List.of() : List.of(names.split("\n")));
        }
    }

    /**
     * Saves the state of a VM whose vCPUs do not run. Any thread may call this; for an attached VM the VMM must have
     * paused them. If one runs all the same, this waits until it leaves the guest.
     */
    static MachineState save(Kvm kvm, VirtualMachine vm) throws IOException {
        requireX86();
        Map<String, MachineStateSection> sections = new LinkedHashMap<>();
        Set<String> omitted = new LinkedHashSet<>();
        Saver saver = new Saver(kvm, vm, sections, omitted);
        List<Vcpu> vcpus = vm.vcpus();
        if (vcpus.isEmpty()) {
            throw new IllegalStateException("this VM has no vCPUs, or was attached without them");
        }
        boolean chip = saver.interruptChip();
        boolean timer = saver.optional(TIMER, Structs.KVM_PIT_STATE2.byteSize(), Request.KVM_GET_PIT2,
                Capability.KVM_CAP_PIT_STATE2);
        saver.optional(CLOCK, Structs.KVM_CLOCK_DATA.byteSize(), Request.KVM_GET_CLOCK,
                Capability.KVM_CAP_ADJUST_CLOCK);
        for (Vcpu vcpu : vcpus) {
            saver.vcpu(vcpu);
        }
        int tsc = vm.capability(Capability.KVM_CAP_GET_TSC_KHZ) == 0 ? 0
                : vcpus.getFirst().call(Request.KVM_GET_TSC_KHZ, 0);
        Summary summary = new Summary(vcpus.size(), chip, timer, tsc, List.copyOf(omitted));
        Map<String, MachineStateSection> all = new LinkedHashMap<>();
        all.put(SUMMARY, new MachineStateSection(SUMMARY, summary.encoded()));
        all.putAll(sections);
        return new MachineState(summary, all);
    }

    static IncompatibleStateException incompatible(List<String> differences) {
        return new IncompatibleStateException(differences, "where processor and kernel are like those it was saved on");
    }

    /**
     * Reads sections that {@link #save} made, and ignores those whose names do not begin with {@code kvm.}. This checks
     * lengths and names; {@link #load} checks whether this KVM can take them.
     */
    static MachineState of(List<MachineStateSection> saved) throws IOException {
        requireX86();
        Map<String, MachineStateSection> sections = new LinkedHashMap<>();
        for (MachineStateSection section : saved) {
            if (section.name().startsWith(PREFIX) && sections.put(section.name(), section) != null) {
                throw new DamagedException("machine state section " + section.name() + " occurs twice");
            }
        }
        if (!sections.containsKey(SUMMARY)) {
            throw new DamagedException("there is no machine state section " + SUMMARY
                    + ": this is not the state of a KVM guest");
        }
        Summary summary = Summary.decoded(sections.get(SUMMARY).payload());
        checkForm(summary, sections);
        return new MachineState(summary, sections);
    }

    /** Returns the sections, for a snapshot to keep. */
    List<MachineStateSection> sections() {
        return List.copyOf(sections.values());
    }

    /** Returns the parts that were left out because the KVM that saved the state did not offer them. */
    List<String> omitted() {
        return summary.omitted();
    }

    /** Returns how many vCPUs the VM must have. */
    int vcpuCount() {
        return summary.vcpus();
    }

    /** Returns whether the VM must have KVM's interrupt controllers. */
    boolean hasInterruptChip() {
        return summary.interruptChip();
    }

    /** Returns whether the VM must have KVM's interval timer. */
    boolean hasTimer() {
        return summary.timer();
    }

    /**
     * Describes everything that prevents loading this state into a VM; empty if nothing does. Only {@link #load} finds
     * problems that appear when it is tried, such as a value that a register does not accept.
     */
    List<String> differences(Kvm kvm, VirtualMachine vm) throws IOException {
        List<String> differences = new ArrayList<>();
        for (StatePart part : StatePart.values()) {
            if (part.needed() != null && sections.containsKey(nameOf(0, part.section()))
                    && kvm.capability(part.needed()) == 0) {
                differences.add("KVM here lacks " + part.needed() + ", which section " + nameOf(0, part.section())
                        + " needs");
            }
        }
        if (sections.containsKey(CLOCK) && kvm.capability(Capability.KVM_CAP_ADJUST_CLOCK) == 0) {
            differences.add("KVM here lacks " + Capability.KVM_CAP_ADJUST_CLOCK);
        }
        try (Arena arena = Arena.ofConfined()) {
            checkDevices(vm, differences, arena);
            List<Vcpu> vcpus = vm.vcpus();
            if (vcpus.size() != summary.vcpus()) {
                differences.add("the VM has " + vcpus.size() + " vCPUs, the state " + summary.vcpus());
                return differences;
            }
            checkClock(vm, vcpus.getFirst(), differences);
            int room = vectorBytes(vm);
            for (Vcpu vcpu : vcpus) {
                checkFeatures(kvm, vcpu, differences, arena);
                MachineStateSection saved = sections.get(nameOf(vcpu.index(), StatePart.XSAVE2.section()));
                if (saved != null && saved.payload().remaining() > room) {
                    differences.add("the vector state of vCPU " + vcpu.index() + " takes "
                            + saved.payload().remaining() + " bytes, here " + room);
                }
            }
        }
        return differences;
    }

    /**
     * Checks features. Some KVMs give a vCPU more than they report as supported: features that it has already count as
     * offered.
     */
    private void checkFeatures(Kvm kvm, Vcpu vcpu, List<String> differences, Arena arena) throws IOException {
        List<Cpuid.Entry> saved = Cpuid.entries(payload(nameOf(vcpu.index(), CPUID), arena));
        List<Cpuid.Entry> supported = Cpuid.entries(kvm.supportedCpuid());
        List<Cpuid.Entry> present = Cpuid.entries(Cpuid.of(vcpu.descriptor(), arena));
        for (String difference : Cpuid.lacking(saved, supported, present)) {
            if (!differences.contains(difference)) {
                differences.add(difference);
            }
        }
    }

    /** Returns how many bytes KVM reads and writes, which is at least the struct's size. */
    private static int vectorBytes(VirtualMachine vm) throws IOException {
        return Math.toIntExact(Math.max(StatePart.XSAVE2.lengthBytes(), vm.capability(Capability.KVM_CAP_XSAVE2)));
    }

    /**
     * Loads the state into a VM that has its memory, as many vCPUs and the same chips, and has not run. Changes nothing
     * if it does not fit; after any other failure the VM is unusable and should be closed.
     *
     * @throws IncompatibleStateException with every difference, if it does not fit
     */
    void load(Kvm kvm, VirtualMachine vm) throws IOException {
        List<String> differences = differences(kvm, vm);
        if (!differences.isEmpty()) {
            throw incompatible(differences);
        }
        try (Arena arena = Arena.ofConfined()) {
            for (Vcpu vcpu : vm.vcpus()) {
                load(vm, vcpu, vectorBytes(vm), arena);
            }
            loadDevices(vm, arena);
        }
    }

    private void checkClock(VirtualMachine vm, Vcpu vcpu, List<String> differences) throws IOException {
        if (summary.tscKilohertz() == 0 || vm.capability(Capability.KVM_CAP_GET_TSC_KHZ) == 0) {
            return;
        }
        long here = vcpu.call(Request.KVM_GET_TSC_KHZ, 0);
        long apart = Math.abs(here - summary.tscKilohertz());
        if (apart * MILLION > here * TSC_TOLERANCE && vm.capability(Capability.KVM_CAP_TSC_CONTROL) == 0) {
            differences.add("the processor's clock runs at " + here + " kHz, the state's at " + summary.tscKilohertz()
                    + ", and KVM here cannot change that");
        }
    }

    private void checkDevices(VirtualMachine vm, List<String> differences, Arena arena) throws IOException {
        boolean chip = Saver.answers(vm, Request.KVM_GET_IRQCHIP, arena.allocate(Structs.KVM_IRQCHIP));
        if (chip != summary.interruptChip()) {
            differences.add(chip ? "the VM has KVM's interrupt chip, the state is without"
                    : "the VM lacks KVM's interrupt chip (createInterruptChip, before its vCPUs)");
        }
        boolean timer = Saver.answers(vm, Request.KVM_GET_PIT2, arena.allocate(Structs.KVM_PIT_STATE2));
        if (timer != summary.timer()) {
            differences.add(timer ? "the VM has KVM's timer, the state is without"
                    : "the VM lacks KVM's timer (createTimer)");
        }
    }

    private void load(VirtualMachine vm, Vcpu vcpu, int xsaveBytes, Arena arena) throws IOException {
        int index = vcpu.index();
        if (summary.tscKilohertz() > 0 && vm.capability(Capability.KVM_CAP_TSC_CONTROL) != 0) {
            vcpu.call(Request.KVM_SET_TSC_KHZ, summary.tscKilohertz());
        }
        vcpu.call(Request.KVM_SET_CPUID2, payload(nameOf(index, CPUID), arena));
        for (StatePart part : StatePart.values()) {
            MachineStateSection section = sections.get(nameOf(index, part.section()));
            if (part == StatePart.EVENTS) {
                List<String> failures = ModelSpecificRegisters.write(
                        vcpu.descriptor(), payload(nameOf(index, MSRS), arena));
                if (!failures.isEmpty()) {
                    throw incompatible(failures);
                }
            }
            if (section != null) {
                // KVM reads as many bytes as it would write, which may be more than another KVM saved.
                MemorySegment struct = arena.allocate(
                        part.set() == Request.KVM_SET_XSAVE ? xsaveBytes : part.lengthBytes(), Long.BYTES);
                MemorySegment bytes = MemorySegment.ofBuffer(section.payload());
                MemorySegment.copy(bytes, 0, struct, 0, bytes.byteSize());
                vcpu.call(part.set(), struct);
            }
        }
    }

    private void loadDevices(VirtualMachine vm, Arena arena) throws IOException {
        if (summary.interruptChip()) {
            for (String chip : CHIPS) {
                vm.call(Request.KVM_SET_IRQCHIP, payload(chip, arena));
            }
        }
        if (summary.timer()) {
            vm.call(Request.KVM_SET_PIT2, payload(TIMER, arena));
        }
        if (sections.containsKey(CLOCK)) {
            // The flags only say how the time was read. With them KVM would set the clock by wall time, and the guest
            // would see the time pass in between.
            MemorySegment clock = payload(CLOCK, arena);
            CLOCK_FLAGS.set(clock, 0);
            vm.call(Request.KVM_SET_CLOCK, clock);
        }
    }

    private MemorySegment payload(String name, Arena arena) {
        MemorySegment bytes = MemorySegment.ofBuffer(sections.get(name).payload());
        return arena.allocate(bytes.byteSize(), Long.BYTES).copyFrom(bytes);
    }

    private static void checkForm(Summary summary, Map<String, MachineStateSection> sections) throws IOException {
        Map<String, Long> expected = new LinkedHashMap<>();
        if (summary.interruptChip()) {
            CHIPS.forEach(chip -> expected.put(chip, Structs.KVM_IRQCHIP.byteSize()));
        }
        if (summary.timer()) {
            expected.put(TIMER, Structs.KVM_PIT_STATE2.byteSize());
        }
        Map<String, Long> allowed = new LinkedHashMap<>(expected);
        allowed.put(CLOCK, Structs.KVM_CLOCK_DATA.byteSize());
        for (int vcpu = 0; vcpu < summary.vcpus(); vcpu++) {
            for (List<StatePart> alternatives : StatePart.ALTERNATIVES) {
                for (StatePart part : alternatives) {
                    allowed.put(nameOf(vcpu, part.section()), part.lengthBytes());
                }
            }
            for (StatePart part : List.of(StatePart.REGISTERS, StatePart.SREGS2, StatePart.SREGS)) {
                boolean either = sections.containsKey(nameOf(vcpu, StatePart.SREGS2.section()))
                        == (part == StatePart.SREGS2) || part == StatePart.REGISTERS;
                if (either) {
                    expected.put(nameOf(vcpu, part.section()), part.lengthBytes());
                }
            }
            requirePresent(nameOf(vcpu, CPUID), sections);
            requirePresent(nameOf(vcpu, MSRS), sections);
        }
        for (String name : expected.keySet()) {
            requirePresent(name, sections);
        }
        for (MachineStateSection section : sections.values()) {
            checkLength(section, allowed.get(section.name()));
        }
        for (int chip = 0; summary.interruptChip() && chip < CHIPS.size(); chip++) {
            int said = sections.get(CHIPS.get(chip)).payload().order(ByteOrder.nativeOrder()).getInt(0);
            if (said != chip) {
                throw new DamagedException("machine state section " + CHIPS.get(chip) + " is of chip " + said);
            }
        }
    }

    private static void requirePresent(String name, Map<String, MachineStateSection> sections)
            throws DamagedException {
        if (!sections.containsKey(name)) {
            throw new DamagedException("machine state section " + name + " is missing");
        }
    }

    private static void checkLength(MachineStateSection section, Long expected) throws DamagedException {
        String name = section.name();
        ByteBuffer payload = section.payload();
        if (name.equals(SUMMARY)) {
            return;
        }
        boolean right;
        if (name.endsWith("." + CPUID) || name.endsWith("." + MSRS)) {
            MemorySegment list = MemorySegment.ofArray(new long[(payload.remaining() + Long.BYTES - 1) / Long.BYTES])
                    .asSlice(0, payload.remaining()).copyFrom(MemorySegment.ofBuffer(payload));
            right = name.endsWith(CPUID) ? Cpuid.isWellFormed(list) : ModelSpecificRegisters.isWellFormed(list);
        } else if (expected == null) {
            throw new DamagedException("machine state section " + name + " does not belong to a KVM guest of this"
                    + " form");
        } else if (name.endsWith("." + StatePart.XSAVE2.section())) {
            right = payload.remaining() >= expected && payload.remaining() % Integer.BYTES == 0;
        } else {
            right = payload.remaining() == expected;
        }
        if (!right) {
            throw new DamagedException("machine state section " + name + " has " + payload.remaining() + " bytes"
                    + (expected == null ? ", which does not fit the number of its entries"
                            : ", " + expected + " expected"));
        }
    }

    private static String nameOf(int vcpu, String part) {
        return PREFIX + "vcpu" + vcpu + "." + part;
    }

    private static void requireX86() {
        if (!System.getProperty("os.arch").equals("amd64")) {
            throw new UnsupportedOperationException("the machine state of " + System.getProperty("os.arch")
                    + " guests is unknown to microsnap; let the VMM provide its own sections");
        }
    }

    /** Saves the state, section by section. */
    private static final class Saver {
        /** Structs are small and many: one block for several of them is cheaper. */
        private static final long BLOCK = 16 << 10;

        // An automatic arena, because sections are handed out uncopied and live as long as they are referenced.
        private final Arena arena = Arena.ofAuto();
        private MemorySegment block = MemorySegment.NULL;
        private final Kvm kvm;
        private final VirtualMachine vm;
        private final Map<String, MachineStateSection> sections;
        private final Set<String> omitted;
        private final Map<StatePart, Integer> lengths = new LinkedHashMap<>();
        private boolean chip;

        Saver(Kvm kvm, VirtualMachine vm, Map<String, MachineStateSection> sections, Set<String> omitted)
                throws IOException {
            this.kvm = kvm;
            this.vm = vm;
            this.sections = sections;
            this.omitted = omitted;
            for (List<StatePart> alternatives : StatePart.ALTERNATIVES) {
                choose(alternatives);
            }
        }

        private void choose(List<StatePart> alternatives) throws IOException {
            for (StatePart part : alternatives) {
                int offered = part.needed() == null ? 1 : vm.capability(part.needed());
                if (offered > 0) {
                    lengths.put(part, Math.toIntExact(part == StatePart.XSAVE2
                            ? Math.max(offered, part.lengthBytes()) : part.lengthBytes()));
                    return;
                }
            }
            omitted.add(alternatives.getFirst().section() + " (" + alternatives.getFirst().needed() + ")");
        }

        boolean interruptChip() throws IOException {
            for (int number = 0; number < CHIPS.size(); number++) {
                MemorySegment struct = allocate(Structs.KVM_IRQCHIP.byteSize());
                CHIP_ID.set(struct, number);
                if (number == 0) {
                    chip = vm.capability(Capability.KVM_CAP_IRQCHIP) != 0
                            && answers(vm, Request.KVM_GET_IRQCHIP, struct);
                    if (!chip) {
                        return false;
                    }
                } else {
                    vm.call(Request.KVM_GET_IRQCHIP, struct);
                }
                add(CHIPS.get(number), struct);
            }
            return true;
        }

        /** Fills the struct and returns true if the VM has that device. */
        static boolean answers(VirtualMachine vm, Request request, MemorySegment struct) throws IOException {
            KvmDescriptor descriptor = vm.descriptor();
            int result = descriptor.raw(request, struct);
            if (result < 0 && !descriptor.failed(result, Errno.ENXIO)) {
                result = descriptor.call(request, struct);
            }
            return result >= 0;
        }

        boolean optional(String name, long bytes, Request get, Capability needed) throws IOException {
            if (vm.capability(needed) == 0) {
                omitted.add(name.substring(PREFIX.length()) + " (" + needed + ")");
                return false;
            }
            MemorySegment struct = allocate(bytes);
            if (!answers(vm, get, struct)) {
                return false;
            }
            add(name, struct);
            return true;
        }

        void vcpu(Vcpu vcpu) throws IOException {
            int index = vcpu.index();
            add(nameOf(index, CPUID), Cpuid.of(vcpu.descriptor(), this::allocate));
            for (Map.Entry<StatePart, Integer> each : lengths.entrySet()) {
                StatePart part = each.getKey();
                if (part == StatePart.EVENTS) {
                    msrs(vcpu);
                }
                MemorySegment struct = allocate(each.getValue());
                if (part == StatePart.LAPIC) {
                    lapic(vcpu, struct);
                } else {
                    vcpu.call(part.get(), struct);
                    add(nameOf(index, part.section()), struct);
                }
            }
            if (!lengths.containsKey(StatePart.EVENTS)) {
                msrs(vcpu);
            }
        }

        /** Saves the local controller, which exists without the other chips if the VMM emulates those. */
        private void lapic(Vcpu vcpu, MemorySegment struct) throws IOException {
            int result = vcpu.descriptor().raw(StatePart.LAPIC.get(), struct);
            if (result >= 0) {
                add(nameOf(vcpu.index(), StatePart.LAPIC.section()), struct);
            } else if (chip || !vcpu.descriptor().failed(result, Errno.EINVAL)) {
                throw SystemCallException.of(vcpu.descriptor().posix(), result, "ioctl KVM_GET_LAPIC",
                        vcpu.descriptor().name(), "");
            }
        }

        private void msrs(Vcpu vcpu) throws IOException {
            ModelSpecificRegisters registers = vm.modelSpecificRegisters(kvm);
            add(nameOf(vcpu.index(), MSRS), registers.read(vcpu.descriptor(), this::allocate));
            omitted.addAll(registers.unreadable());
        }

        private MemorySegment allocate(long bytes) {
            return allocate(bytes, Long.BYTES);
        }

        /** Returns zeros, aligned to eight bytes, which suits every struct of KVM. */
        private MemorySegment allocate(long bytes, long alignment) {
            long rounded = (bytes + Long.BYTES - 1) & -Long.BYTES;
            if (block.byteSize() < rounded) {
                block = arena.allocate(Math.max(BLOCK, rounded), Math.max(alignment, Long.BYTES));
            }
            MemorySegment struct = block.asSlice(0, bytes);
            block = block.asSlice(rounded);
            return struct;
        }

        private void add(String name, MemorySegment bytes) {
            sections.put(name, new MachineStateSection(name, bytes.asByteBuffer()));
        }
    }
}
