package io.microsnap.hvf.internal.binding;

import static io.microsnap.hvf.internal.binding.Downcall.BOOLEAN;
import static io.microsnap.hvf.internal.binding.Downcall.INT;
import static io.microsnap.hvf.internal.binding.Downcall.LONG;
import static io.microsnap.hvf.internal.binding.Downcall.POINTER;
import static io.microsnap.hvf.internal.binding.Downcall.UNSIGNED_SHORT;
import static io.microsnap.hvf.internal.binding.Downcall.unexpected;

import io.microsnap.core.internal.posix.Posix;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/** Calls the functions of a library: a Mac's framework, or a stand-in with the same functions. */
final class NativeFramework implements HypervisorFramework {
    /**
     * Loaded by name: the library exists only in the system's cache, and no file has this path.
     */
    private static final String LIBRARY = "/System/Library/Frameworks/Hypervisor.framework/Versions/A/Hypervisor";

    private final Functions functions;
    private final Downcall setVector;
    private final Set<String> missing;

    /**
     * Looks the functions up.
     *
     * @param framework the functions of Hypervisor.framework
     * @param system the functions of libSystem
     * @param code the code that passes a vector on this processor
     */
    NativeFramework(SymbolLookup framework, SymbolLookup system, VectorCode code) throws HypervisorException {
        functions = Functions.of(framework, system);
        Set<String> absent = new TreeSet<>();
        functions.all().stream().filter(call -> !call.isPresent()).map(Downcall::name).forEach(absent::add);
        missing = Set.copyOf(absent);
        MemorySegment loaded = code.load(Posix.host(), written -> {
            functions.sysIcacheInvalidate.handle().invokeExact(written, written.byteSize());
        });
        setVector = Downcall.at(loaded, "set a vector", INT, LONG, INT, POINTER, POINTER);
    }

    /** Returns the framework, where the system is one that has it. */
    @SuppressWarnings("restricted")
    static HypervisorFramework ofThisMac(String system, String architecture) throws HypervisorException {
        if (!system.startsWith("Mac")) {
            throw HypervisorException.unavailable("it is part of macOS and this is " + system
                    + "; on Linux use the module hypervisor-kvm", null);
        }
        if (!architecture.equals("aarch64")) {
            throw HypervisorException.unavailable(String.format(Locale.ROOT, "microsnap uses it on Apple silicon and"
                    + " this is %s; on Apple silicon run a JDK for aarch64, not one under Rosetta", architecture),
                    null);
        }
        try {
            return new NativeFramework(SymbolLookup.libraryLookup(LIBRARY, Arena.global()),
                    Linker.nativeLinker().defaultLookup(), VectorCode.AARCH64);
        } catch (IllegalArgumentException notFound) {
            throw HypervisorException.unavailable(LIBRARY + " cannot be loaded", notFound);
        } catch (IllegalCallerException denied) {
            throw HypervisorException.unavailable("this JVM denies native access; start it with"
                    + " --enable-native-access=ALL-UNNAMED", denied);
        }
    }

    /** The functions that are bound. */
    record Functions(Downcall vmCreate, Downcall vmDestroy, Downcall vmConfigCreate, Downcall vmConfigSetIpaSize,
            Downcall vmConfigSetIpaGranule, Downcall vmMap, Downcall vmProtect, Downcall vcpuCreate,
            Downcall vcpuDestroy, Downcall vcpuRun, Downcall vcpusExit, Downcall getReg, Downcall setReg,
            Downcall getSysReg, Downcall setSysReg, Downcall getSimdFpReg, Downcall setSimdFpReg,
            Downcall getPendingInterrupt, Downcall setPendingInterrupt, Downcall getVtimerMask,
            Downcall setVtimerMask, Downcall getVtimerOffset, Downcall setVtimerOffset, Downcall gicConfigCreate,
            Downcall gicConfigSetDistributorBase, Downcall gicConfigSetRedistributorBase, Downcall gicCreate,
            Downcall gicStateCreate, Downcall gicStateGetSize, Downcall gicStateGetData, Downcall gicSetState,
            Downcall gicGetIccReg, Downcall gicSetIccReg, Downcall osRelease, Downcall machAbsoluteTime,
            Downcall sysctlByName, Downcall sysIcacheInvalidate) {
        static Functions of(SymbolLookup framework, SymbolLookup system) throws HypervisorException {
            return new Functions(
                    Downcall.required(framework, "hv_vm_create", INT, POINTER),
                    Downcall.required(framework, "hv_vm_destroy", INT),
                    Downcall.optional(framework, "hv_vm_config_create", POINTER),
                    Downcall.optional(framework, "hv_vm_config_set_ipa_size", INT, POINTER, INT),
                    Downcall.optional(framework, "hv_vm_config_set_ipa_granule", INT, POINTER, INT),
                    Downcall.required(framework, "hv_vm_map", INT, POINTER, LONG, LONG, LONG),
                    Downcall.required(framework, "hv_vm_protect", INT, LONG, LONG, LONG),
                    Downcall.required(framework, "hv_vcpu_create", INT, POINTER, POINTER, POINTER),
                    Downcall.required(framework, "hv_vcpu_destroy", INT, LONG),
                    Downcall.required(framework, "hv_vcpu_run", INT, LONG),
                    Downcall.required(framework, "hv_vcpus_exit", INT, POINTER, INT),
                    Downcall.required(framework, "hv_vcpu_get_reg", INT, LONG, INT, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_reg", INT, LONG, INT, LONG),
                    Downcall.required(framework, "hv_vcpu_get_sys_reg", INT, LONG, UNSIGNED_SHORT, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_sys_reg", INT, LONG, UNSIGNED_SHORT, LONG),
                    Downcall.required(framework, "hv_vcpu_get_simd_fp_reg", INT, LONG, INT, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_simd_fp_reg", INT, LONG, INT),
                    Downcall.required(framework, "hv_vcpu_get_pending_interrupt", INT, LONG, INT, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_pending_interrupt", INT, LONG, INT, BOOLEAN),
                    Downcall.required(framework, "hv_vcpu_get_vtimer_mask", INT, LONG, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_vtimer_mask", INT, LONG, BOOLEAN),
                    Downcall.required(framework, "hv_vcpu_get_vtimer_offset", INT, LONG, POINTER),
                    Downcall.required(framework, "hv_vcpu_set_vtimer_offset", INT, LONG, LONG),
                    Downcall.optional(framework, "hv_gic_config_create", POINTER),
                    Downcall.optional(framework, "hv_gic_config_set_distributor_base", INT, POINTER, LONG),
                    Downcall.optional(framework, "hv_gic_config_set_redistributor_base", INT, POINTER, LONG),
                    Downcall.optional(framework, "hv_gic_create", INT, POINTER),
                    Downcall.optional(framework, "hv_gic_state_create", POINTER),
                    Downcall.optional(framework, "hv_gic_state_get_size", INT, POINTER, POINTER),
                    Downcall.optional(framework, "hv_gic_state_get_data", INT, POINTER, POINTER),
                    Downcall.optional(framework, "hv_gic_set_state", INT, POINTER, LONG),
                    Downcall.optional(framework, "hv_gic_get_icc_reg", INT, LONG, UNSIGNED_SHORT, POINTER),
                    Downcall.optional(framework, "hv_gic_set_icc_reg", INT, LONG, UNSIGNED_SHORT, LONG),
                    Downcall.ofVoid(system, "os_release", POINTER),
                    Downcall.required(system, "mach_absolute_time", LONG),
                    Downcall.required(system, "sysctlbyname", INT, POINTER, POINTER, POINTER, POINTER, LONG),
                    Downcall.ofVoid(system, "sys_icache_invalidate", POINTER, LONG));
        }

        List<Downcall> all() {
            return List.of(vmCreate, vmDestroy, vmConfigCreate, vmConfigSetIpaSize, vmConfigSetIpaGranule, vmMap,
                    vmProtect, vcpuCreate, vcpuDestroy, vcpuRun, vcpusExit, getReg, setReg, getSysReg,
                    setSysReg, getSimdFpReg, setSimdFpReg, getPendingInterrupt, setPendingInterrupt, getVtimerMask,
                    setVtimerMask, getVtimerOffset, setVtimerOffset, gicConfigCreate, gicConfigSetDistributorBase,
                    gicConfigSetRedistributorBase, gicCreate, gicStateCreate, gicStateGetSize, gicStateGetData,
                    gicSetState, gicGetIccReg, gicSetIccReg, osRelease, machAbsoluteTime, sysctlByName,
                    sysIcacheInvalidate);
        }
    }

    @Override
    public Set<String> missing() {
        return missing;
    }

    @Override
    public int hv_vm_create(MemorySegment config) {
        try {
            return (int) functions.vmCreate.handle().invokeExact(config);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vm_destroy() {
        try {
            return (int) functions.vmDestroy.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public MemorySegment hv_vm_config_create() {
        try {
            return (MemorySegment) functions.vmConfigCreate.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vm_config_set_ipa_size(MemorySegment config, int bits) {
        try {
            return (int) functions.vmConfigSetIpaSize.handle().invokeExact(config, bits);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vm_config_set_ipa_granule(MemorySegment config, int granule) {
        try {
            return (int) functions.vmConfigSetIpaGranule.handle().invokeExact(config, granule);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vm_map(MemorySegment memory, long guestAddress, long flags) {
        try {
            return (int) functions.vmMap.handle().invokeExact(memory, guestAddress, memory.byteSize(), flags);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vm_protect(long guestAddress, long lengthBytes, long flags) {
        try {
            return (int) functions.vmProtect.handle().invokeExact(guestAddress, lengthBytes, flags);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_create(MemorySegment vcpu, MemorySegment exit, MemorySegment config) {
        try {
            return (int) functions.vcpuCreate.handle().invokeExact(vcpu, exit, config);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_destroy(long vcpu) {
        try {
            return (int) functions.vcpuDestroy.handle().invokeExact(vcpu);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_run(long vcpu) {
        try {
            return (int) functions.vcpuRun.handle().invokeExact(vcpu);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpus_exit(MemorySegment vcpus, int count) {
        try {
            return (int) functions.vcpusExit.handle().invokeExact(vcpus, count);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_reg(long vcpu, int register, MemorySegment value) {
        try {
            return (int) functions.getReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_reg(long vcpu, int register, long value) {
        try {
            return (int) functions.setReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_sys_reg(long vcpu, char register, MemorySegment value) {
        try {
            return (int) functions.getSysReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_sys_reg(long vcpu, char register, long value) {
        try {
            return (int) functions.setSysReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_simd_fp_reg(long vcpu, int register, MemorySegment value) {
        try {
            return (int) functions.getSimdFpReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_pending_interrupt(long vcpu, int type, MemorySegment pending) {
        try {
            return (int) functions.getPendingInterrupt.handle().invokeExact(vcpu, type, pending);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_pending_interrupt(long vcpu, int type, boolean pending) {
        try {
            return (int) functions.setPendingInterrupt.handle().invokeExact(vcpu, type, pending);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_vtimer_mask(long vcpu, MemorySegment masked) {
        try {
            return (int) functions.getVtimerMask.handle().invokeExact(vcpu, masked);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_vtimer_mask(long vcpu, boolean masked) {
        try {
            return (int) functions.setVtimerMask.handle().invokeExact(vcpu, masked);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_get_vtimer_offset(long vcpu, MemorySegment offset) {
        try {
            return (int) functions.getVtimerOffset.handle().invokeExact(vcpu, offset);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_vtimer_offset(long vcpu, long offset) {
        try {
            return (int) functions.setVtimerOffset.handle().invokeExact(vcpu, offset);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public MemorySegment hv_gic_config_create() {
        try {
            return (MemorySegment) functions.gicConfigCreate.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_config_set_distributor_base(MemorySegment config, long guestAddress) {
        try {
            return (int) functions.gicConfigSetDistributorBase.handle().invokeExact(config, guestAddress);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_config_set_redistributor_base(MemorySegment config, long guestAddress) {
        try {
            return (int) functions.gicConfigSetRedistributorBase.handle().invokeExact(config, guestAddress);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_create(MemorySegment config) {
        try {
            return (int) functions.gicCreate.handle().invokeExact(config);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public MemorySegment hv_gic_state_create() {
        try {
            return (MemorySegment) functions.gicStateCreate.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_state_get_size(MemorySegment state, MemorySegment size) {
        try {
            return (int) functions.gicStateGetSize.handle().invokeExact(state, size);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_state_get_data(MemorySegment state, MemorySegment data) {
        try {
            return (int) functions.gicStateGetData.handle().invokeExact(state, data);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_set_state(MemorySegment data) {
        try {
            return (int) functions.gicSetState.handle().invokeExact(data, data.byteSize());
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_get_icc_reg(long vcpu, char register, MemorySegment value) {
        try {
            return (int) functions.gicGetIccReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_gic_set_icc_reg(long vcpu, char register, long value) {
        try {
            return (int) functions.gicSetIccReg.handle().invokeExact(vcpu, register, value);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public void os_release(MemorySegment object) {
        try {
            functions.osRelease.handle().invokeExact(object);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public long mach_absolute_time() {
        try {
            return (long) functions.machAbsoluteTime.handle().invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int hv_vcpu_set_simd_fp_reg(long vcpu, int register, MemorySegment value) {
        if (value.byteSize() != 2 * Long.BYTES) {
            throw new IllegalArgumentException("a vector register has 16 bytes, not " + value.byteSize());
        }
        try {
            return (int) setVector.handle().invokeExact(vcpu, register, value, functions.setSimdFpReg.address());
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int sysctlbyname(String name, MemorySegment value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_LONG, value.byteSize());
            int result = (int) functions.sysctlByName.handle().invokeExact(
                    arena.allocateFrom(name), value, length, MemorySegment.NULL, 0L);
            return result == 0 ? Math.toIntExact(length.get(ValueLayout.JAVA_LONG, 0)) : -1;
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }
}
