package io.microsnap.hvf;

import io.microsnap.core.DamagedException;
import io.microsnap.core.IncompatibleStateException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.hvf.MachineSpec.InterruptController;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The state of a VM beside its memory: of each vCPU its registers, vectors, system registers, pointer-authentication
 * keys, timers and interrupt lines; of the VM its counter and, where it has the framework's, its interrupt controller.
 * Each part is a section under a name that begins with {@code hvf.}.
 *
 * <p>Parts that the running system lacks are left out, and listed. The state includes the build of macOS and the
 * processor's identification registers, on which it depends. If those differ, nothing is loaded, and the exception
 * lists the differences.
 */
final class MachineState {
    private static final String PREFIX = "hvf.";
    private static final String SUMMARY = "hvf.machine";
    private static final String PROCESSOR = "hvf.processor";
    private static final String CONTROLLER = "hvf.gic";
    private static final int LARGEST_CONTROLLER_BYTES = 16 << 20;
    private static final SystemRegister FEATURES = SystemRegister.of("ID_AA64PFR1_EL1", 3, 0, 0, 4, 1);
    private static final long SCALABLE_MATRIX = 0xfL << 24;

    private final Summary summary;
    private final RegisterList processor;
    private final Optional<ByteBuffer> controller;
    private final List<VcpuState> vcpus;

    private MachineState(Summary summary, RegisterList processor, Optional<ByteBuffer> controller,
            List<VcpuState> vcpus) {
        this.summary = summary;
        this.processor = processor;
        this.controller = controller;
        this.vcpus = vcpus;
    }

    /**
     * The facts about the machine as a whole.
     *
     * @param spec the parts of the VM
     * @param counter the value of the guest's virtual counter
     * @param osBuild the build of macOS
     * @param omitted the parts that macOS lacked
     */
    private record Summary(MachineSpec spec, long counter, String osBuild, List<String> omitted) {
        private static final int VERSION = 1;
        /** ELF's number for AArch64. */
        private static final int ARCHITECTURE = 183;
        private static final int FIXED = 5 * Integer.BYTES + 3 * Long.BYTES;
        private static final int LONGEST = 64 << 10;

        ByteBuffer encode() {
            String names = osBuild + "\n" + String.join("\n", omitted);
            byte[] words = names.getBytes(StandardCharsets.US_ASCII);
            InterruptController placement = spec.interruptController().orElse(new InterruptController(0, 0));
            return ByteBuffer.allocate(FIXED + words.length).order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(VERSION).putInt(ARCHITECTURE).putInt(spec.vcpus()).putInt(spec.granuleBytes())
                    .putInt(spec.interruptController().isPresent() ? 1 : 0)
                    .putLong(placement.distributorAddress()).putLong(placement.redistributorAddress())
                    .putLong(counter).put(words).flip();
        }

        static Summary decode(ByteBuffer from) throws IOException {
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
                differences.add("it is of architecture " + architecture + " (ELF's number), this is AArch64");
            }
            if (!differences.isEmpty()) {
                throw incompatible(differences);
            }
            int vcpus = from.getInt();
            int granule = from.getInt();
            int controller = from.getInt();
            InterruptController placement = new InterruptController(from.getLong(), from.getLong());
            long counter = from.getLong();
            List<String> words = List.of(StandardCharsets.US_ASCII.decode(from).toString().split("\n", -1));
            if ((controller | 1) != 1) {
                throw new DamagedException("machine state section " + SUMMARY + " names " + controller
                        + " interrupt controllers");
            }
            try {
                MachineSpec spec = new MachineSpec(vcpus, granule,
                        controller == 1 ? Optional.of(placement) : Optional.empty());
                return new Summary(spec, counter, words.getFirst(),
                        words.stream().skip(1).filter(word -> !word.isEmpty()).toList());
            } catch (IllegalArgumentException impossible) {
                throw new DamagedException("machine state section " + SUMMARY + ": " + impossible.getMessage());
            }
        }
    }

    /** Saves the state of a VM whose vCPUs are all paused or off. */
    static MachineState save(VirtualMachine vm) throws IOException {
        HypervisorFramework framework = vm.hvf().framework();
        List<Vcpu> stopped = requireAll(vm);
        boolean hasController = vm.spec().interruptController().isPresent();
        Set<String> omitted = new LinkedHashSet<>();
        // The vCPUs first: one that runs refuses the task.
        List<VcpuState> vcpus = new ArrayList<>();
        for (Vcpu vcpu : stopped) {
            vcpus.add(vcpu.call(own -> VcpuState.read(own, hasController, omitted)));
        }
        Optional<ByteBuffer> controller = hasController ? saveController(framework, omitted) : Optional.empty();
        // Taken from the first vCPU: all timers use one offset.
        Vcpu first = stopped.getFirst();
        long counter = first.call(own -> framework.mach_absolute_time() - own.registers().timerOffset());
        RegisterList processor = first.call(own -> RegisterList.read(
                SystemRegister.IDENTIFICATION, own.registers()::systemIfThere, omitted));
        if ((processor.value(FEATURES).orElse(0L) & SCALABLE_MATRIX) != 0) {
            omitted.add("streaming mode, ZA and Z registers of the scalable matrix extension");
        }
        Summary summary = new Summary(vm.spec(), counter, vm.hvf().osBuild(), List.copyOf(omitted));
        return new MachineState(summary, processor, controller, vcpus);
    }

    private static List<Vcpu> requireAll(VirtualMachine vm) {
        List<Vcpu> vcpus = vm.vcpus();
        if (vcpus.size() != vm.spec().vcpus()) {
            throw new IllegalStateException("the VM has " + vcpus.size() + " of its " + vm.spec().vcpus() + " vCPUs");
        }
        return vcpus;
    }

    /** Saves the interrupt controller, which the framework allows while no vCPU runs. */
    private static Optional<ByteBuffer> saveController(HypervisorFramework framework, Set<String> omitted)
            throws IOException {
        if (framework.missing().contains("hv_gic_state_create")) {
            omitted.add("interrupt controller (hv_gic_state_create)");
            return Optional.empty();
        }
        MemorySegment state = framework.hv_gic_state_create();
        if (state.address() == 0) {
            throw HypervisorException.of(HvReturn.HV_ERROR.number(), "hv_gic_state_create",
                    "(it returned no state; are all vCPUs paused?)");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
            Calls.check(framework.hv_gic_state_get_size(state, size), "hv_gic_state_get_size", "");
            long bytes = size.get(ValueLayout.JAVA_LONG, 0);
            if (bytes <= 0 || bytes > LARGEST_CONTROLLER_BYTES) {
                throw HypervisorException.of(HvReturn.HV_ERROR.number(), "hv_gic_state_get_size", "(" + bytes
                        + " bytes)");
            }
            MemorySegment data = arena.allocate(bytes, Long.BYTES);
            Calls.check(framework.hv_gic_state_get_data(state, data), "hv_gic_state_get_data", "");
            return Optional.of(ByteBuffer.wrap(data.toArray(ValueLayout.JAVA_BYTE)));
        } finally {
            framework.os_release(state);
        }
    }

    static IncompatibleStateException incompatible(List<String> differences) {
        return new IncompatibleStateException(differences, "on the same kind of Mac and the same build of macOS");
    }

    /**
     * Reads sections that {@link #save} made, and ignores those whose names do not begin with {@code hvf.}. This checks
     * their form; {@link #load} checks whether they fit this Mac.
     */
    static MachineState of(List<MachineStateSection> saved) throws IOException {
        Map<String, MachineStateSection> sections = new LinkedHashMap<>();
        for (MachineStateSection section : saved) {
            if (section.name().startsWith(PREFIX) && sections.put(section.name(), section) != null) {
                throw new DamagedException("machine state section " + section.name() + " occurs twice");
            }
        }
        MachineStateSection summarySection = sections.remove(SUMMARY);
        MachineStateSection processorSection = sections.remove(PROCESSOR);
        if (summarySection == null || processorSection == null) {
            throw new DamagedException("there is no machine state section " + (summarySection == null ? SUMMARY
                    : PROCESSOR) + ": this is not the whole state of a guest of Hypervisor.framework");
        }
        Summary summary = Summary.decode(summarySection.payload());
        RegisterList processor = RegisterList.decode(processorSection, SystemRegister.IDENTIFICATION);
        boolean hasController = summary.spec().interruptController().isPresent();
        Optional<ByteBuffer> controller = Optional.ofNullable(hasController ? sections.remove(CONTROLLER) : null)
                .map(MachineStateSection::payload);
        List<VcpuState> vcpus = new ArrayList<>();
        for (int index = 0; index < summary.spec().vcpus(); index++) {
            vcpus.add(VcpuState.decode(prefixOf(index), hasController, sections));
        }
        if (!sections.isEmpty()) {
            throw new DamagedException("machine state section " + sections.keySet().iterator().next()
                    + " does not belong to a guest of this form");
        }
        return new MachineState(summary, processor, controller, vcpus);
    }

    private static String prefixOf(int vcpu) {
        return PREFIX + "vcpu" + vcpu + ".";
    }

    /** Returns the sections, for a snapshot to keep. */
    List<MachineStateSection> sections() {
        List<MachineStateSection> sections = new ArrayList<>();
        sections.add(new MachineStateSection(SUMMARY, summary.encode()));
        sections.add(new MachineStateSection(PROCESSOR, processor.encode()));
        if (controller.isPresent()) {
            sections.add(new MachineStateSection(CONTROLLER, controller.get()));
        }
        for (int index = 0; index < vcpus.size(); index++) {
            vcpus.get(index).addSections(prefixOf(index), sections);
        }
        return sections;
    }

    /** Returns the parts that were left out because the system that saved the state lacked them. */
    List<String> omitted() {
        return summary.omitted();
    }

    /** Returns the parts that a VM must have to take this state. */
    MachineSpec spec() {
        return summary.spec();
    }

    /** Describes everything that prevents loading this state into a VM; empty if nothing does. */
    List<String> differences(VirtualMachine vm) throws IOException {
        List<String> differences = new ArrayList<>();
        if (!vm.spec().equals(summary.spec())) {
            differences.add("the VM is made of " + vm.spec() + ", the state is of " + summary.spec());
        }
        String osBuild = vm.hvf().osBuild();
        if (!osBuild.equals(summary.osBuild())) {
            differences.add("macOS here is build " + osBuild + ", the state's " + summary.osBuild());
        }
        if (summary.spec().interruptController().isPresent() && controller.isEmpty()) {
            differences.add("the state lacks that of the interrupt controller");
        }
        RegisterList here = requireAll(vm).getFirst().call(own -> RegisterList.read(
                SystemRegister.IDENTIFICATION, own.registers()::systemIfThere, new LinkedHashSet<>()));
        for (SystemRegister register : SystemRegister.IDENTIFICATION) {
            if (!here.value(register).equals(processor.value(register))) {
                differences.add(register + " here is " + hex(here.value(register)) + ", the state's "
                        + hex(processor.value(register)));
            }
        }
        return differences;
    }

    private static String hex(Optional<Long> value) {
        return value.map(known -> "0x" + Long.toHexString(known)).orElse("unknown");
    }

    /**
     * Loads the state into a VM that has not run: first the processors' identities, then the interrupt controller,
     * which depends on them, then registers, timers and the controller's CPU interfaces. The guest's counter continues
     * from its saved value, on all vCPUs. Changes nothing if the state does not fit; after any other failure the VM is
     * unusable and should be closed.
     *
     * @throws IncompatibleStateException with every difference, if the state does not fit, or if a register does not
     * keep its value
     */
    void load(VirtualMachine vm) throws IOException {
        List<String> differences = differences(vm);
        if (!differences.isEmpty()) {
            throw incompatible(differences);
        }
        HypervisorFramework framework = vm.hvf().framework();
        List<Vcpu> into = vm.vcpus();
        for (Vcpu vcpu : into) {
            vcpu.call(own -> {
                vcpus.get(own.index()).loadName(own);
                return own;
            });
        }
        if (controller.isPresent()) {
            loadController(framework, controller.get());
        }
        long timerOffset = framework.mach_absolute_time() - summary.counter();
        for (Vcpu vcpu : into) {
            vcpu.call(own -> {
                vcpus.get(own.index()).load(own, timerOffset);
                return own;
            });
        }
    }

    private static void loadController(HypervisorFramework framework, ByteBuffer state) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = MemorySegment.ofBuffer(state.duplicate());
            MemorySegment data = arena.allocate(bytes.byteSize(), Long.BYTES).copyFrom(bytes);
            Calls.check(framework.hv_gic_set_state(data), "hv_gic_set_state", "of " + data.byteSize() + " bytes");
        }
    }
}
