/*
 * Stands in for Hypervisor.framework where there is none: the same functions, structures and numbers. A guest is real
 * AArch64 code of a few instructions, interpreted; its loads, stores and fetches go through a second stage with a byte
 * of permissions for each page, while the host's own do not, as on the processor.
 *
 * It is strict. What the documentation forbids fails here, also where the real one may let it pass. Parameters of 16
 * bits and truth values are declared 64 bits wide, and their high bits must be zero: a compiler would drop them.
 */
#define WITHOUT_PROTOTYPES
#include "hypervisor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_VCPUS 64
#define MOST_REGIONS 64
#define MOST_OBJECTS 256
#define FIRST_VCPU 0x100000000ull
#define GIC_WORDS 64
#define EC(syndrome_class) ((uint64_t) (syndrome_class) << 26 | 1u << 25)

struct region {
    uint64_t ipa;
    uint64_t size;
    uint8_t *host;
    uint8_t *permissions;
};

struct vcpu {
    atomic_int alive;
    atomic_int running;
    atomic_int exit_requested;
    pthread_t owner;
    pthread_mutex_t second_stage;
    hv_vcpu_exit_t exit;
    uint64_t registers[35];
    uint64_t *system;
    uint64_t *icc;
    uint8_t vectors[32][16];
    bool pending[2];
    bool pending_when_run[2];
    bool timer_masked;
    uint64_t timer_offset;
};

struct object {
    int kind;
    uint32_t ipa_bits;
    uint64_t granule;
    uint64_t distributor;
    uint64_t redistributor;
    size_t size;
    uint8_t *data;
};

enum { NO_OBJECT, VM_CONFIG, GIC_CONFIG, GIC_STATE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool vm;
static bool gic;
static uint64_t granule = 16384;
static uint32_t ipa_bits = 36;
static uint64_t gic_words[GIC_WORDS];
static struct region regions[MOST_REGIONS];
static int region_count;
static struct vcpu vcpus[MOST_VCPUS];
static int vcpu_slots;
static struct object objects[MOST_OBJECTS];
static __thread struct vcpu *own;

/* What a test asks for. */
static char fail_name[64];
static int fail_nth, fail_result;
static atomic_int calls, named_calls;
static char violation[256];
static char os_build[32] = "24A335";
static int hv_support = 1;
static uint64_t id_change;
static int missing_register, ignoring_register;
static atomic_int store_as, spurious_every, stores, faults;
static atomic_int protecting, flushed;

static void forbid(const char *what) {
    snprintf(violation, sizeof violation, "%s", what);
}

static int entered(const char *name) {
    atomic_fetch_add(&calls, 1);
    if (fail_nth > 0 && (fail_name[0] == 0 || !strcmp(fail_name, name))
            && atomic_fetch_add(&named_calls, 1) + 1 == fail_nth) {
        return fail_result;
    }
    return 0;
}

#define ENTER(name) do { int refused = entered(#name); if (refused) { return refused; } } while (0)
#define ENTER_FOR_OBJECT(name) do { if (entered(#name)) { return NULL; } } while (0)
#define NARROW(value, bits) do { if ((value) >> (bits)) { forbid("high bits of a narrow argument"); \
    return HV_BAD_ARGUMENT; } } while (0)

/* ---- what tests call ---- */

void standin_reset(void) {
    fail_name[0] = 0;
    fail_nth = fail_result = 0;
    atomic_store(&calls, 0);
    atomic_store(&named_calls, 0);
    violation[0] = 0;
    strcpy(os_build, "24A335");
    hv_support = 1;
    id_change = 0;
    missing_register = ignoring_register = 0;
    atomic_store(&store_as, 0);
    atomic_store(&spurious_every, 0);
    atomic_store(&flushed, 0);
}

void standin_fail(const char *name, int nth, int result) {
    snprintf(fail_name, sizeof fail_name, "%s", name);
    atomic_store(&named_calls, 0);
    fail_result = result;
    fail_nth = nth;
}

int standin_calls(void) { return atomic_load(&calls); }
const char *standin_violation(void) { return violation; }
void standin_os_build(const char *build) { snprintf(os_build, sizeof os_build, "%s", build); }
void standin_hv_support(int supported) { hv_support = supported; }
void standin_change_ids(uint64_t change) { id_change = change; }
void standin_missing_register(int id) { missing_register = id; }
void standin_ignore_register(int id) { ignoring_register = id; }
/* 0: as they are; 1: data aborts of a table walk; 2: instruction aborts of a table walk; 3: with S1PTW, without WnR. */
void standin_stores_as(int what) { atomic_store(&store_as, what); }
void standin_spurious(int every) { atomic_store(&spurious_every, every); }
int standin_faults(void) { return atomic_load(&faults); }
int standin_flushed(void) { return atomic_load(&flushed); }
void standin_gic_word(int index, uint64_t value) { gic_words[index] = value; }
uint64_t standin_gic_read(int index) { return gic_words[index]; }
int standin_pending_when_run(uint64_t id, int type) { return vcpus[id - FIRST_VCPU].pending_when_run[type]; }
int standin_running(uint64_t id) { return atomic_load(&vcpus[id - FIRST_VCPU].running); }

const char *standin_leaks(void) {
    static char text[128];
    int alive = 0, held = 0;
    for (int i = 0; i < MOST_VCPUS; i++) {
        alive += atomic_load(&vcpus[i].alive);
    }
    for (int i = 0; i < MOST_OBJECTS; i++) {
        held += objects[i].kind != NO_OBJECT;
    }
    text[0] = 0;
    if (vm || alive || held || region_count) {
        snprintf(text, sizeof text, "%d VMs, %d vCPUs, %d mappings, %d objects", vm, alive, region_count, held);
    }
    return text;
}

/* Forgets what is still there: for tests of what cannot be freed. */
void standin_abandon(void) {
    vm = gic = false;
    region_count = vcpu_slots = 0;
    for (int i = 0; i < MOST_VCPUS; i++) {
        atomic_store(&vcpus[i].alive, 0);
    }
    memset(objects, 0, sizeof objects);
}

/* ---- objects ---- */

static void *new_object(int kind) {
    for (int i = 0; i < MOST_OBJECTS; i++) {
        if (objects[i].kind == NO_OBJECT) {
            memset(&objects[i], 0, sizeof objects[i]);
            objects[i].kind = kind;
            return &objects[i];
        }
    }
    return NULL;
}

static struct object *object_of(void *pointer, int kind) {
    struct object *object = pointer;
    return object >= objects && object < objects + MOST_OBJECTS && object->kind == kind ? object : NULL;
}

void os_release(void *pointer) {
    pthread_mutex_lock(&lock);
    struct object *object = pointer;
    if (object < objects || object >= objects + MOST_OBJECTS || object->kind == NO_OBJECT) {
        forbid("os_release of what is no object");
    } else {
        free(object->data);
        object->data = NULL;
        object->kind = NO_OBJECT;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the VM ---- */

static int vm_create(struct object *config) {
    if (vm) {
        return HV_BUSY;
    }
    vm = true;
    gic = false;
    granule = config && config->granule ? config->granule : 16384;
    ipa_bits = config && config->ipa_bits ? config->ipa_bits : 36;
    return HV_SUCCESS;
}

hv_return_t hv_vm_create(hv_vm_config_t config) {
    ENTER(hv_vm_create);
    pthread_mutex_lock(&lock);
    struct object *object = object_of(config, VM_CONFIG);
    int result = config && !object ? HV_BAD_ARGUMENT : vm_create(object);
    pthread_mutex_unlock(&lock);
    return result;
}

static int alive_vcpus(void) {
    int alive = 0;
    for (int i = 0; i < vcpu_slots; i++) {
        alive += atomic_load(&vcpus[i].alive);
    }
    return alive;
}

static int running_vcpus(void) {
    int running = 0;
    for (int i = 0; i < vcpu_slots; i++) {
        running += atomic_load(&vcpus[i].running);
    }
    return running;
}

hv_return_t hv_vm_destroy(void) {
    ENTER(hv_vm_destroy);
    pthread_mutex_lock(&lock);
    int result = !vm ? HV_NO_DEVICE : alive_vcpus() ? HV_BUSY : HV_SUCCESS;
    if (result == HV_SUCCESS) {
        vm = gic = false;
        for (int i = 0; i < region_count; i++) {
            free(regions[i].permissions);
        }
        region_count = 0;
        vcpu_slots = 0;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

hv_vm_config_t hv_vm_config_create(void) {
    ENTER_FOR_OBJECT(hv_vm_config_create);
    pthread_mutex_lock(&lock);
    void *config = new_object(VM_CONFIG);
    pthread_mutex_unlock(&lock);
    return config;
}

hv_return_t hv_vm_config_set_ipa_size(hv_vm_config_t config, uint32_t bits) {
    ENTER(hv_vm_config_set_ipa_size);
    struct object *object = object_of(config, VM_CONFIG);
    if (!object || bits < 32 || bits > 40) {
        return HV_BAD_ARGUMENT;
    }
    object->ipa_bits = bits;
    return HV_SUCCESS;
}

hv_return_t hv_vm_config_set_ipa_granule(hv_vm_config_t config, hv_ipa_granule_t which) {
    ENTER(hv_vm_config_set_ipa_granule);
    struct object *object = object_of(config, VM_CONFIG);
    if (!object || which > HV_IPA_GRANULE_16KB) {
        return HV_BAD_ARGUMENT;
    }
    object->granule = which == HV_IPA_GRANULE_4KB ? 4096 : 16384;
    return HV_SUCCESS;
}

static bool is_range(uint64_t ipa, uint64_t size) {
    return size > 0 && ipa % granule == 0 && size % granule == 0 && ipa + size > ipa
            && ipa + size <= 1ull << ipa_bits;
}

static int map(uint8_t *host, uint64_t ipa, uint64_t size, uint64_t flags) {
    if (!vm) {
        return HV_NO_DEVICE;
    }
    if (!is_range(ipa, size) || !host || (uint64_t) host % (uint64_t) getpagesize() || flags > 7) {
        return HV_BAD_ARGUMENT;
    }
    if (alive_vcpus()) {
        forbid("memory was mapped with vCPUs there");
        return HV_BUSY;
    }
    for (int i = 0; i < region_count; i++) {
        if (ipa < regions[i].ipa + regions[i].size && regions[i].ipa < ipa + size) {
            return HV_FAULT;
        }
    }
    if (region_count == MOST_REGIONS) {
        return HV_NO_RESOURCES;
    }
    uint8_t *permissions = malloc(size / granule);
    memset(permissions, (int) flags, size / granule);
    regions[region_count++] = (struct region) {ipa, size, host, permissions};
    return HV_SUCCESS;
}

hv_return_t hv_vm_map(void *host, hv_ipa_t ipa, size_t size, hv_memory_flags_t flags) {
    ENTER(hv_vm_map);
    pthread_mutex_lock(&lock);
    int result = map(host, ipa, size, flags);
    pthread_mutex_unlock(&lock);
    return result;
}

static struct region *region_at(uint64_t ipa, uint64_t size) {
    for (int i = 0; i < region_count; i++) {
        if (ipa >= regions[i].ipa && ipa + size <= regions[i].ipa + regions[i].size) {
            return &regions[i];
        }
    }
    return NULL;
}

hv_return_t hv_vm_protect(hv_ipa_t ipa, size_t size, hv_memory_flags_t flags) {
    ENTER(hv_vm_protect);
    if (atomic_fetch_add(&protecting, 1) > 0) {
        forbid("two hv_vm_protect at once");
    }
    int result = HV_BAD_ARGUMENT;
    struct region *region = vm && is_range(ipa, size) && flags <= 7 ? region_at(ipa, size) : NULL;
    if (region) {
        /* No store that was let through is under way when this returns. */
        for (int i = 0; i < vcpu_slots; i++) {
            pthread_mutex_lock(&vcpus[i].second_stage);
        }
        memset(region->permissions + (ipa - region->ipa) / granule, (int) flags, size / granule);
        for (int i = 0; i < vcpu_slots; i++) {
            pthread_mutex_unlock(&vcpus[i].second_stage);
        }
        result = HV_SUCCESS;
    }
    atomic_fetch_sub(&protecting, 1);
    return result;
}

/* ---- vCPUs ---- */

static const uint16_t identification[] = {0xc000, 0xc020, 0xc021, 0xc024, 0xc025, 0xc028, 0xc029, 0xc030, 0xc031,
    0xc038, 0xc039, 0xc03a};
static const uint16_t system_registers[] = {0x8010, 0x8012, 0xc005, 0xc080, 0xc081, 0xc082, 0xc094, 0xc096, 0xc100,
    0xc101, 0xc102, 0xc108, 0xc109, 0xc10a, 0xc10b, 0xc110, 0xc111, 0xc112, 0xc113, 0xc118, 0xc119, 0xc200, 0xc201,
    0xc208, 0xc288, 0xc289, 0xc290, 0xc300, 0xc3a0, 0xc510, 0xc518, 0xc600, 0xc681, 0xc684, 0xc687, 0xc708, 0xd000,
    0xde82, 0xde83, 0xde85, 0xde87, 0xdf10, 0xdf11, 0xdf12, 0xdf19, 0xdf1a, 0xe208};
static const uint16_t icc_registers[] = {0xc230, 0xc643, 0xc644, 0xc648, 0xc65b, 0xc663, 0xc664, 0xc665, 0xc666,
    0xc667};

static bool listed(const uint16_t *list, size_t bytes, uint64_t id) {
    for (size_t i = 0; i < bytes / sizeof *list; i++) {
        if (list[i] == id) {
            return true;
        }
    }
    return false;
}

static bool is_identification(uint64_t id) {
    return listed(identification, sizeof identification, id);
}

static bool is_system(uint64_t id) {
    bool debug = id >= 0x8004 && id <= 0x807f && (id & 7) >= 4;
    return id != (uint64_t) missing_register
            && (debug || is_identification(id) || listed(system_registers, sizeof system_registers, id));
}

static struct vcpu *vcpu_of(uint64_t id) {
    uint64_t index = id - FIRST_VCPU;
    return index < MOST_VCPUS && atomic_load(&vcpus[index].alive) ? &vcpus[index] : NULL;
}

/* Everything but hv_vcpus_exit belongs to the thread that made the vCPU. */
#define OWNED(vcpu, id) struct vcpu *vcpu = vcpu_of(id); if (!vcpu || vcpu != own) { return HV_BAD_ARGUMENT; }

static int vcpu_create(hv_vcpu_t *id, hv_vcpu_exit_t **exit) {
    if (!vm) {
        return HV_NO_DEVICE;
    }
    if (own) {
        return HV_BUSY;
    }
    if (vcpu_slots == MOST_VCPUS) {
        return HV_NO_RESOURCES;
    }
    struct vcpu *vcpu = &vcpus[vcpu_slots];
    memset(vcpu, 0, sizeof *vcpu);
    pthread_mutex_init(&vcpu->second_stage, NULL);
    vcpu->system = calloc(65536, sizeof *vcpu->system);
    vcpu->icc = calloc(65536, sizeof *vcpu->icc);
    for (size_t i = 0; i < sizeof identification / sizeof *identification; i++) {
        vcpu->system[identification[i]] = 0x1122334455660000ull + identification[i] + id_change;
    }
    vcpu->registers[HV_REG_CPSR] = 0x3c5;
    vcpu->owner = pthread_self();
    own = vcpu;
    *id = FIRST_VCPU + (uint64_t) vcpu_slots++;
    *exit = &vcpu->exit;
    atomic_store(&vcpu->alive, 1);
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_create(hv_vcpu_t *id, hv_vcpu_exit_t **exit, hv_vcpu_config_t config) {
    ENTER(hv_vcpu_create);
    pthread_mutex_lock(&lock);
    int result = config ? HV_BAD_ARGUMENT : vcpu_create(id, exit);
    pthread_mutex_unlock(&lock);
    return result;
}

hv_return_t hv_vcpu_destroy(hv_vcpu_t id) {
    ENTER(hv_vcpu_destroy);
    pthread_mutex_lock(&lock);
    struct vcpu *vcpu = vcpu_of(id);
    int result = vcpu && vcpu == own ? HV_SUCCESS : HV_BAD_ARGUMENT;
    if (result == HV_SUCCESS) {
        own = NULL;
        atomic_store(&vcpu->alive, 0);
        free(vcpu->system);
        free(vcpu->icc);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

hv_return_t hv_vcpus_exit(hv_vcpu_t *ids, uint32_t count) {
    ENTER(hv_vcpus_exit);
    for (uint32_t i = 0; i < count; i++) {
        struct vcpu *vcpu = vcpu_of(ids[i]);
        if (!vcpu) {
            return HV_BAD_ARGUMENT;
        }
        atomic_store(&vcpu->exit_requested, 1);
    }
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_reg(hv_vcpu_t id, hv_reg_t number, uint64_t *value) {
    ENTER(hv_vcpu_get_reg);
    OWNED(vcpu, id);
    if (number > HV_REG_CPSR) {
        return HV_BAD_ARGUMENT;
    }
    *value = vcpu->registers[number];
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_reg(hv_vcpu_t id, hv_reg_t number, uint64_t value) {
    ENTER(hv_vcpu_set_reg);
    OWNED(vcpu, id);
    if (number > HV_REG_CPSR) {
        return HV_BAD_ARGUMENT;
    }
    vcpu->registers[number] = value;
    return HV_SUCCESS;
}

uint64_t mach_absolute_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000ull + (uint64_t) now.tv_nsec;
}

static bool timer_fires(const struct vcpu *vcpu) {
    uint64_t control = vcpu->system[HV_SYS_REG_CNTV_CTL_EL0];
    return (control & 3) == 1
            && (int64_t) (mach_absolute_time() - vcpu->timer_offset - vcpu->system[HV_SYS_REG_CNTV_CVAL_EL0]) >= 0;
}

hv_return_t hv_vcpu_get_sys_reg(hv_vcpu_t id, uint64_t number, uint64_t *value) {
    ENTER(hv_vcpu_get_sys_reg);
    NARROW(number, 16);
    OWNED(vcpu, id);
    if (!is_system(number)) {
        return HV_BAD_ARGUMENT;
    }
    *value = vcpu->system[number];
    if (number == HV_SYS_REG_CNTV_CTL_EL0) {
        *value = (*value & 3) | (timer_fires(vcpu) ? 4 : 0);
    }
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_sys_reg(hv_vcpu_t id, uint64_t number, uint64_t value) {
    ENTER(hv_vcpu_set_sys_reg);
    NARROW(number, 16);
    OWNED(vcpu, id);
    if (!is_system(number) || is_identification(number)) {
        return HV_BAD_ARGUMENT;
    }
    if (number == HV_SYS_REG_CNTP_TVAL_EL0) {
        forbid("TVAL was set");
    }
    if (number != (uint64_t) ignoring_register) {
        vcpu->system[number] = value;
    }
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_simd_fp_reg(hv_vcpu_t id, hv_simd_fp_reg_t number, void *value) {
    ENTER(hv_vcpu_get_simd_fp_reg);
    OWNED(vcpu, id);
    if (number > HV_SIMD_FP_REG_Q31) {
        return HV_BAD_ARGUMENT;
    }
    memcpy(value, vcpu->vectors[number], 16);
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_simd_fp_reg(hv_vcpu_t id, hv_simd_fp_reg_t number, hv_simd_fp_uchar16_t value) {
    ENTER(hv_vcpu_set_simd_fp_reg);
    OWNED(vcpu, id);
    if (number > HV_SIMD_FP_REG_Q31) {
        return HV_BAD_ARGUMENT;
    }
    memcpy(vcpu->vectors[number], &value, 16);
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_pending_interrupt(hv_vcpu_t id, hv_interrupt_type_t type, bool *pending) {
    ENTER(hv_vcpu_get_pending_interrupt);
    OWNED(vcpu, id);
    if (type > HV_INTERRUPT_TYPE_FIQ) {
        return HV_BAD_ARGUMENT;
    }
    *pending = vcpu->pending[type];
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_pending_interrupt(hv_vcpu_t id, hv_interrupt_type_t type, uint64_t pending) {
    ENTER(hv_vcpu_set_pending_interrupt);
    NARROW(pending, 1);
    OWNED(vcpu, id);
    if (type > HV_INTERRUPT_TYPE_FIQ) {
        return HV_BAD_ARGUMENT;
    }
    vcpu->pending[type] = pending;
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_vtimer_mask(hv_vcpu_t id, bool *masked) {
    ENTER(hv_vcpu_get_vtimer_mask);
    OWNED(vcpu, id);
    *masked = vcpu->timer_masked;
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_vtimer_mask(hv_vcpu_t id, uint64_t masked) {
    ENTER(hv_vcpu_set_vtimer_mask);
    NARROW(masked, 1);
    OWNED(vcpu, id);
    vcpu->timer_masked = masked;
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_vtimer_offset(hv_vcpu_t id, uint64_t *offset) {
    ENTER(hv_vcpu_get_vtimer_offset);
    OWNED(vcpu, id);
    *offset = vcpu->timer_offset;
    return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_vtimer_offset(hv_vcpu_t id, uint64_t offset) {
    ENTER(hv_vcpu_set_vtimer_offset);
    OWNED(vcpu, id);
    vcpu->timer_offset = offset;
    return HV_SUCCESS;
}

/* ---- the guest ---- */

enum access { LOAD = HV_MEMORY_READ, STORE = HV_MEMORY_WRITE, FETCH = HV_MEMORY_EXEC };

static int leave(struct vcpu *vcpu, uint32_t reason, uint64_t syndrome, uint64_t address) {
    vcpu->exit.reason = reason;
    vcpu->exit.exception.syndrome = syndrome;
    vcpu->exit.exception.virtual_address = address;
    vcpu->exit.exception.physical_address = address;
    return 1;
}

static int abort_of(struct vcpu *vcpu, uint64_t address, enum access access, uint64_t details) {
    /* Both fault statuses occur for one and the same cause. */
    uint64_t status = atomic_fetch_add(&faults, 1) % 2 ? 0x0f : 0x07;
    if (access == FETCH) {
        return leave(vcpu, HV_EXIT_REASON_EXCEPTION, EC(0x20) | status, address);
    }
    uint64_t syndrome = EC(0x24) | details | (access == STORE ? 0x40 : 0) | status;
    switch (access == STORE ? atomic_load(&store_as) : 0) {
        case 1: syndrome = EC(0x24) | 0x80 | 0x40 | status; break;
        case 2: syndrome = EC(0x20) | 0x80 | status; break;
        case 3: syndrome = EC(0x24) | 0x80 | status; break;
        default: break;
    }
    return leave(vcpu, HV_EXIT_REASON_EXCEPTION, syndrome, address);
}

/* Where the guest's bytes are, or NULL where the access faults. */
static uint8_t *translate(uint64_t address, uint64_t size, enum access access) {
    struct region *region = region_at(address, size);
    if (!region || !(region->permissions[(address - region->ipa) / granule] & (int) access)) {
        return NULL;
    }
    if (access == STORE) {
        int every = atomic_load(&spurious_every);
        if (every && atomic_fetch_add(&stores, 1) % every == 0) {
            return NULL;
        }
    }
    return region->host + (address - region->ipa);
}

/* Bits for a syndrome that describes a plain load or store wholly: ISV, its size, its register. */
static uint64_t described(int size_log2, uint32_t target) {
    return 1ull << 24 | (uint64_t) size_log2 << 22 | (uint64_t) target << 16 | (size_log2 == 3 ? 1ull << 15 : 0);
}

static int transfer(struct vcpu *vcpu, uint32_t code, int size_log2, bool store) {
    uint64_t *x = vcpu->registers;
    uint64_t size = 1ull << size_log2;
    uint64_t address = x[code >> 5 & 31] + (code >> 10 & 0xfff) * size;
    uint32_t target = code & 31;
    uint8_t *at = translate(address, size, store ? STORE : LOAD);
    if (!at) {
        return abort_of(vcpu, address, store ? STORE : LOAD, described(size_log2, target));
    }
    if (store) {
        uint64_t value = target == 31 ? 0 : x[target];
        memcpy(at, &value, size);
    } else if (target != 31) {
        x[target] = 0;
        memcpy(&x[target], at, size);
    }
    x[HV_REG_PC] += 4;
    return 0;
}

static uint64_t read_x(const struct vcpu *vcpu, uint32_t number) {
    return number == 31 ? 0 : vcpu->registers[number];
}

static void write_x(struct vcpu *vcpu, uint32_t number, uint64_t value) {
    if (number != 31) {
        vcpu->registers[number] = value;
    }
}

/* Executes one instruction; returns whether the guest was left. */
static int step(struct vcpu *vcpu) {
    uint64_t *pc = &vcpu->registers[HV_REG_PC];
    uint8_t *at = *pc % 4 ? NULL : translate(*pc, 4, FETCH);
    if (!at) {
        return abort_of(vcpu, *pc, FETCH, 0);
    }
    uint32_t code;
    memcpy(&code, at, 4);
    uint32_t d = code & 31, n = code >> 5 & 31, m = code >> 16 & 31;
    uint64_t imm16 = code >> 5 & 0xffff;
    int shift = (int) (code >> 21 & 3) * 16;
    int64_t imm19 = (int64_t) ((uint64_t) (code >> 5 & 0x7ffff) << 45) >> 43;
    switch (code & 0xffc00000) {
        case 0xf9000000: return transfer(vcpu, code, 3, true);
        case 0xf9400000: return transfer(vcpu, code, 3, false);
        case 0xb9000000: return transfer(vcpu, code, 2, true);
        case 0xb9400000: return transfer(vcpu, code, 2, false);
        case 0xa9000000: {
            /* A pair: its abort does not describe the registers. */
            uint64_t address = vcpu->registers[n];
            uint8_t *pair = translate(address, 16, STORE);
            if (!pair) {
                return abort_of(vcpu, address, STORE, 0);
            }
            uint64_t values[2] = {read_x(vcpu, d), read_x(vcpu, code >> 10 & 31)};
            memcpy(pair, values, 16);
            break;
        }
        case 0x91000000: vcpu->registers[d] = vcpu->registers[n] + (code >> 10 & 0xfff); break;
        case 0xd1000000: vcpu->registers[d] = vcpu->registers[n] - (code >> 10 & 0xfff); break;
        default:
            if ((code & 0xff800000) == 0xd2800000) {
                write_x(vcpu, d, imm16 << shift);
            } else if ((code & 0xff800000) == 0xf2800000) {
                write_x(vcpu, d, (read_x(vcpu, d) & ~(0xffffull << shift)) | imm16 << shift);
            } else if ((code & 0xffe0fc00) == 0x8b000000) {
                write_x(vcpu, d, read_x(vcpu, n) + read_x(vcpu, m));
            } else if ((code & 0xffe0fc00) == 0xca000000) {
                write_x(vcpu, d, read_x(vcpu, n) ^ read_x(vcpu, m));
            } else if ((code & 0xffe0fc00) == 0x8a000000) {
                write_x(vcpu, d, read_x(vcpu, n) & read_x(vcpu, m));
            } else if ((code & 0xffe0fc00) == 0x9b007c00) {
                write_x(vcpu, d, read_x(vcpu, n) * read_x(vcpu, m));
            } else if ((code & 0xffc0fc00) == 0xd340fc00) {
                write_x(vcpu, d, read_x(vcpu, n) >> (code >> 16 & 63));
            } else if ((code & 0xff000000) == 0xb4000000) {
                *pc += (uint64_t) (read_x(vcpu, d) == 0 ? imm19 : 4);
                return 0;
            } else if ((code & 0xff000000) == 0xb5000000) {
                *pc += (uint64_t) (read_x(vcpu, d) != 0 ? imm19 : 4);
                return 0;
            } else if ((code & 0xfc000000) == 0x14000000) {
                *pc += (uint64_t) ((int64_t) ((uint64_t) (code & 0x3ffffff) << 38) >> 36);
                return 0;
            } else if ((code & 0xfffffc1f) == 0xd61f0000) {
                *pc = read_x(vcpu, n);
                return 0;
            } else if ((code & 0xffe0001f) == 0xd4000002) {
                *pc += 4;
                return leave(vcpu, HV_EXIT_REASON_EXCEPTION, EC(0x16) | imm16, 0);
            } else if (code == 0xd503207f) {
                return leave(vcpu, HV_EXIT_REASON_EXCEPTION, EC(0x01), 0);
            } else if ((code & 0xffffffe0) == 0xd5087620) {
                /* Invalidating a line of the cache needs the permission to write, and is reported as a write. */
                if (!translate(read_x(vcpu, d) & ~63ull, 64, STORE)) {
                    return abort_of(vcpu, read_x(vcpu, d), STORE, 0x100);
                }
            } else if (code != 0xd503201f) {
                return leave(vcpu, HV_EXIT_REASON_UNKNOWN, 0, *pc);
            }
    }
    *pc += 4;
    return 0;
}

static void run(struct vcpu *vcpu) {
    for (unsigned turn = 0; ; turn++) {
        if (atomic_exchange(&vcpu->exit_requested, 0)) {
            leave(vcpu, HV_EXIT_REASON_CANCELED, 0, 0);
            return;
        }
        if (turn % 64 == 0 && !vcpu->timer_masked && timer_fires(vcpu)) {
            vcpu->timer_masked = true;
            leave(vcpu, HV_EXIT_REASON_VTIMER_ACTIVATED, 0, 0);
            return;
        }
        pthread_mutex_lock(&vcpu->second_stage);
        int left = step(vcpu);
        pthread_mutex_unlock(&vcpu->second_stage);
        if (left) {
            return;
        }
    }
}

hv_return_t hv_vcpu_run(hv_vcpu_t id) {
    ENTER(hv_vcpu_run);
    OWNED(vcpu, id);
    memset(&vcpu->exit, 0x5a, sizeof vcpu->exit);
    atomic_store(&vcpu->running, 1);
    memcpy(vcpu->pending_when_run, vcpu->pending, sizeof vcpu->pending);
    run(vcpu);
    /* Interrupts are to be set before each run. */
    memset(vcpu->pending, 0, sizeof vcpu->pending);
    atomic_store(&vcpu->running, 0);
    return HV_SUCCESS;
}

/* ---- the interrupt controller ---- */

hv_gic_config_t hv_gic_config_create(void) {
    ENTER_FOR_OBJECT(hv_gic_config_create);
    pthread_mutex_lock(&lock);
    void *config = new_object(GIC_CONFIG);
    pthread_mutex_unlock(&lock);
    return config;
}

hv_return_t hv_gic_config_set_distributor_base(hv_gic_config_t config, hv_ipa_t address) {
    ENTER(hv_gic_config_set_distributor_base);
    struct object *object = object_of(config, GIC_CONFIG);
    if (!object || address == 0 || address % 65536) {
        return HV_BAD_ARGUMENT;
    }
    object->distributor = address;
    return HV_SUCCESS;
}

hv_return_t hv_gic_config_set_redistributor_base(hv_gic_config_t config, hv_ipa_t address) {
    ENTER(hv_gic_config_set_redistributor_base);
    struct object *object = object_of(config, GIC_CONFIG);
    if (!object || address == 0 || address % 65536) {
        return HV_BAD_ARGUMENT;
    }
    object->redistributor = address;
    return HV_SUCCESS;
}

hv_return_t hv_gic_create(hv_gic_config_t config) {
    ENTER(hv_gic_create);
    pthread_mutex_lock(&lock);
    struct object *object = object_of(config, GIC_CONFIG);
    int result = !vm ? HV_NO_DEVICE : !object || !object->distributor || !object->redistributor ? HV_BAD_ARGUMENT
            : gic || alive_vcpus() ? HV_BUSY : HV_SUCCESS;
    if (result == HV_SUCCESS) {
        gic = true;
        memset(gic_words, 0, sizeof gic_words);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static size_t state_words(void) {
    return 2 + GIC_WORDS + (size_t) alive_vcpus();
}

hv_gic_state_t hv_gic_state_create(void) {
    ENTER_FOR_OBJECT(hv_gic_state_create);
    pthread_mutex_lock(&lock);
    struct object *object = NULL;
    if (gic && !running_vcpus()) {
        object = new_object(GIC_STATE);
        object->size = state_words() * 8;
        uint64_t *words = calloc(state_words(), 8);
        words[0] = 0x6769637374617465ull;
        words[1] = (uint64_t) alive_vcpus();
        memcpy(words + 2, gic_words, sizeof gic_words);
        for (int i = 0, at = 2 + GIC_WORDS; i < vcpu_slots; i++) {
            if (atomic_load(&vcpus[i].alive)) {
                words[at++] = vcpus[i].system[HV_SYS_REG_MPIDR_EL1];
            }
        }
        object->data = (uint8_t *) words;
    } else if (gic) {
        forbid("the interrupt controller's state was asked for while a vCPU ran");
    }
    pthread_mutex_unlock(&lock);
    return object;
}

hv_return_t hv_gic_state_get_size(hv_gic_state_t state, size_t *size) {
    ENTER(hv_gic_state_get_size);
    struct object *object = object_of(state, GIC_STATE);
    if (!object) {
        return HV_BAD_ARGUMENT;
    }
    *size = object->size;
    return HV_SUCCESS;
}

hv_return_t hv_gic_state_get_data(hv_gic_state_t state, void *data) {
    ENTER(hv_gic_state_get_data);
    struct object *object = object_of(state, GIC_STATE);
    if (!object) {
        return HV_BAD_ARGUMENT;
    }
    memcpy(data, object->data, object->size);
    return HV_SUCCESS;
}

static int set_state(const uint64_t *words, size_t size) {
    if (!gic) {
        return HV_UNSUPPORTED;
    }
    if (running_vcpus()) {
        forbid("the interrupt controller's state was set while a vCPU ran");
        return HV_BUSY;
    }
    if (size != state_words() * 8 || words[0] != 0x6769637374617465ull || words[1] != (uint64_t) alive_vcpus()) {
        return HV_BAD_ARGUMENT;
    }
    for (int i = 0, at = 2 + GIC_WORDS; i < vcpu_slots; i++) {
        /* Redistributors are found by what their processors are called. */
        if (atomic_load(&vcpus[i].alive) && words[at++] != vcpus[i].system[HV_SYS_REG_MPIDR_EL1]) {
            return HV_BAD_ARGUMENT;
        }
    }
    memcpy(gic_words, words + 2, sizeof gic_words);
    for (int i = 0; i < vcpu_slots; i++) {
        if (atomic_load(&vcpus[i].alive)) {
            memset(vcpus[i].icc, 0, 65536 * sizeof *vcpus[i].icc);
        }
    }
    return HV_SUCCESS;
}

hv_return_t hv_gic_set_state(const void *data, size_t size) {
    ENTER(hv_gic_set_state);
    pthread_mutex_lock(&lock);
    int result = set_state(data, size);
    pthread_mutex_unlock(&lock);
    return result;
}

hv_return_t hv_gic_get_icc_reg(hv_vcpu_t id, uint64_t number, uint64_t *value) {
    ENTER(hv_gic_get_icc_reg);
    NARROW(number, 16);
    OWNED(vcpu, id);
    if (!gic || !listed(icc_registers, sizeof icc_registers, number)) {
        return HV_BAD_ARGUMENT;
    }
    *value = vcpu->icc[number];
    return HV_SUCCESS;
}

hv_return_t hv_gic_set_icc_reg(hv_vcpu_t id, uint64_t number, uint64_t value) {
    ENTER(hv_gic_set_icc_reg);
    NARROW(number, 16);
    OWNED(vcpu, id);
    if (!gic || !listed(icc_registers, sizeof icc_registers, number) || number == HV_GIC_ICC_REG_RPR_EL1) {
        return HV_BAD_ARGUMENT;
    }
    if (number != (uint64_t) ignoring_register) {
        vcpu->icc[number] = value;
    }
    return HV_SUCCESS;
}

/* ---- the system ---- */

int sysctlbyname(const char *name, void *value, size_t *length, void *new_value, size_t new_length) {
    if (new_value || new_length) {
        forbid("a system setting was changed");
        return -1;
    }
    if (!strcmp(name, "kern.osversion") && *length > strlen(os_build)) {
        *length = strlen(os_build) + 1;
        memcpy(value, os_build, *length);
        return 0;
    }
    if (!strcmp(name, "kern.hv_support") && *length >= sizeof(int)) {
        *length = sizeof(int);
        memcpy(value, &hv_support, sizeof(int));
        return 0;
    }
    return -1;
}

void sys_icache_invalidate(void *start, size_t length) {
    __builtin___clear_cache(start, (char *) start + length);
    atomic_fetch_add(&flushed, 1);
}
