package io.microsnap.hvf.internal.binding;

import java.lang.foreign.MemorySegment;
import java.util.Set;

/**
 * Makes the calls of macOS's Hypervisor.framework on Apple silicon, under their own names and with raw results, and
 * the few of libSystem that belong with them. All other code uses this interface, so that a test can put a failing or
 * recording one in its place.
 *
 * <p>A function that the running macOS lacks returns {@code HV_UNSUPPORTED}, or {@link MemorySegment#NULL} where it
 * would return an object; {@link #missing} names those functions. Objects are released with {@link #os_release}.
 */
public interface HypervisorFramework {
    /** Returns the framework of this Mac; throws on any other system. */
    static HypervisorFramework ofThisMac() throws HypervisorException {
        return NativeFramework.ofThisMac(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    /** Names the functions that the running macOS lacks. */
    Set<String> missing();

    int hv_vm_create(MemorySegment config);

    int hv_vm_destroy();

    MemorySegment hv_vm_config_create();

    int hv_vm_config_set_ipa_size(MemorySegment config, int bits);

    int hv_vm_config_set_ipa_granule(MemorySegment config, int granule);

    int hv_vm_map(MemorySegment memory, long guestAddress, long flags);

    int hv_vm_protect(long guestAddress, long lengthBytes, long flags);

    int hv_vcpu_create(MemorySegment vcpu, MemorySegment exit, MemorySegment config);

    int hv_vcpu_destroy(long vcpu);

    int hv_vcpu_run(long vcpu);

    int hv_vcpus_exit(MemorySegment vcpus, int count);

    int hv_vcpu_get_reg(long vcpu, int register, MemorySegment value);

    int hv_vcpu_set_reg(long vcpu, int register, long value);

    int hv_vcpu_get_sys_reg(long vcpu, char register, MemorySegment value);

    int hv_vcpu_set_sys_reg(long vcpu, char register, long value);

    int hv_vcpu_get_simd_fp_reg(long vcpu, int register, MemorySegment value);

    /** Sets a vector register from the 16 bytes; the function itself takes them by value. */
    int hv_vcpu_set_simd_fp_reg(long vcpu, int register, MemorySegment value);

    int hv_vcpu_get_pending_interrupt(long vcpu, int type, MemorySegment pending);

    int hv_vcpu_set_pending_interrupt(long vcpu, int type, boolean pending);

    int hv_vcpu_get_vtimer_mask(long vcpu, MemorySegment masked);

    int hv_vcpu_set_vtimer_mask(long vcpu, boolean masked);

    int hv_vcpu_get_vtimer_offset(long vcpu, MemorySegment offset);

    int hv_vcpu_set_vtimer_offset(long vcpu, long offset);

    MemorySegment hv_gic_config_create();

    int hv_gic_config_set_distributor_base(MemorySegment config, long guestAddress);

    int hv_gic_config_set_redistributor_base(MemorySegment config, long guestAddress);

    int hv_gic_create(MemorySegment config);

    MemorySegment hv_gic_state_create();

    int hv_gic_state_get_size(MemorySegment state, MemorySegment size);

    int hv_gic_state_get_data(MemorySegment state, MemorySegment data);

    int hv_gic_set_state(MemorySegment data);

    int hv_gic_get_icc_reg(long vcpu, char register, MemorySegment value);

    int hv_gic_set_icc_reg(long vcpu, char register, long value);

    /** Releases an object that a {@code create} function returned. */
    void os_release(MemorySegment object);

    /** Returns the host's counter, to which the offsets of the virtual timers are relative. */
    long mach_absolute_time();

    /** Fills the buffer with a value of the system; returns its length, or -1 if there is no such name. */
    int sysctlbyname(String name, MemorySegment value);
}
