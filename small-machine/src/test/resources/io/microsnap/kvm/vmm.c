/*
 * A VMM in C: it owns a VM, two regions of memory shown through three slots, and a vCPU on a thread of its own whose
 * guest writes pages all over and counts. As a library it is loaded by whoever captures it; as a program it hands its
 * memfd and a userfaultfd over and obeys its standard input.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLOTS = 3, PAGE = 4096 };

#define LOW_BYTES (8ull << 20)
#define HIGH_BYTES (4ull << 20)
#define HIGH (1ull << 32)
/* The guest reaches no address above 4 GiB: it sees the second region here, too. */
#define ALIAS (16ull << 20)
#define CODE 0x1000
#define COUNTER 0x2000

static int vm, vcpu, memory;
static uint8_t *ram;
static struct kvm_run *run;
static struct kvm_userspace_memory_region slots[SLOTS];
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int wanted, running, ending;
/* What the VMM should never see: a vCPU that left the guest for anything but a pause. */
static int surprises;

static const uint8_t guest[] = {
    0x66, 0xbf, 0x00, 0x00, 0x10, 0x00,       /*        mov  edi, 0x100000 */
    0x66, 0x45,                               /* write: inc  ebp */
    0x67, 0x66, 0x89, 0x2f,                   /*        mov  [edi], ebp */
    0x67, 0x66, 0x89, 0x2d, 0x00, 0x20, 0, 0, /*        mov  [0x2000], ebp */
    0x66, 0x81, 0xc7, 0x04, 0x70, 0x00, 0x00, /*        add  edi, 0x7004 */
    0x66, 0x81, 0xff, 0x00, 0x00, 0x80, 0x00, /*        cmp  edi, 0x800000 */
    0x72, 0xe2,                               /*        jb   write */
    0x66, 0x81, 0xff, 0x00, 0x00, 0x00, 0x01, /*        cmp  edi, 0x1000000 */
    0x73, 0x08,                               /*        jae  high */
    0x66, 0xbf, 0x00, 0x00, 0x00, 0x01,       /*        mov  edi, 0x1000000 */
    0xeb, 0xd1,                               /*        jmp  write */
    0x66, 0x81, 0xff, 0x00, 0x00, 0x40, 0x01, /* high:  cmp  edi, 0x1400000 */
    0x72, 0xc8,                               /*        jb   write */
    0x66, 0x89, 0xef,                         /*        mov  edi, ebp */
    0x66, 0x81, 0xe7, 0xfc, 0xff, 0x00, 0x00, /*        and  edi, 0xfffc */
    0x66, 0x81, 0xc7, 0x00, 0x00, 0x10, 0x00, /*        add  edi, 0x100000 */
    0xeb, 0xb5,                               /*        jmp  write */
};

static void check(int holds, const char *what) {
    if (!holds) {
        perror(what);
        abort();
    }
}

static void leave(int signal) { (void) signal; }

static void *live(void *unused) {
    pthread_mutex_lock(&lock);
    while (!ending) {
        if (!wanted) {
            pthread_cond_wait(&changed, &lock);
            continue;
        }
        running = 1;
        pthread_mutex_unlock(&lock);
        int left = ioctl(vcpu, KVM_RUN, 0);
        pthread_mutex_lock(&lock);
        running = 0;
        surprises += left >= 0;
        wanted &= left < 0;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

void vmm_open(void) {
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm >= 0, "/dev/kvm");
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    memory = memfd_create("vmm", MFD_CLOEXEC);
    check(ftruncate(memory, LOW_BYTES + HIGH_BYTES) == 0, "ftruncate");
    ram = mmap(NULL, LOW_BYTES + HIGH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    check(ram != MAP_FAILED, "mmap");
    uint64_t host = (uint64_t) ram;
    slots[0] = (struct kvm_userspace_memory_region) {5, 0, 0, LOW_BYTES, host};
    slots[1] = (struct kvm_userspace_memory_region) {9, 0, HIGH, HIGH_BYTES, host + LOW_BYTES};
    slots[2] = (struct kvm_userspace_memory_region) {2, 0, ALIAS, HIGH_BYTES, host + LOW_BYTES};
    for (int slot = 0; slot < SLOTS; slot++) {
        check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slots[slot]) == 0, "KVM_SET_USER_MEMORY_REGION");
    }
    memcpy(ram + CODE, guest, sizeof guest);
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    close(kvm);
    struct kvm_sregs special;
    check(ioctl(vcpu, KVM_GET_SREGS, &special) == 0, "KVM_GET_SREGS");
    special.cs.base = CODE;
    special.cs.selector = CODE >> 4;
    special.ds.base = 0;
    special.ds.selector = 0;
    special.ds.limit = 0xffffffff;
    special.ds.g = 1;
    check(ioctl(vcpu, KVM_SET_SREGS, &special) == 0, "KVM_SET_SREGS");
    struct kvm_regs registers = {.rip = 0, .rflags = 2};
    check(ioctl(vcpu, KVM_SET_REGS, &registers) == 0, "KVM_SET_REGS");
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
    sigaction(SIGRTMIN + 7, &action, NULL);
    wanted = running = ending = surprises = 0;
    pthread_create(&thread, NULL, live, NULL);
}

void vmm_resume(void) {
    pthread_mutex_lock(&lock);
    run->immediate_exit = 0;
    wanted = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void vmm_pause(void) {
    pthread_mutex_lock(&lock);
    wanted = 0;
    run->immediate_exit = 1;
    if (running) {
        pthread_kill(thread, SIGRTMIN + 7);
    }
    while (running) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

uint32_t vmm_counter(void) { return *(volatile uint32_t *) (ram + COUNTER); }
int vmm_surprises(void) { return surprises; }
int vmm_vm(void) { return vm; }
int vmm_vcpu(void) { return vcpu; }
const struct kvm_userspace_memory_region *vmm_slots(void) { return slots; }

/* The VMM takes its alias away, and brings it back. */
int vmm_drop_alias(int drop) {
    struct kvm_userspace_memory_region slot = slots[2];
    slot.memory_size = drop ? 0 : HIGH_BYTES;
    return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

void vmm_close(void) {
    vmm_pause();
    pthread_mutex_lock(&lock);
    ending = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    munmap(run, sysconf(_SC_PAGESIZE) * 3);
    close(vcpu);
    close(vm);
    munmap(ram, LOW_BYTES + HIGH_BYTES);
    close(memory);
}

int main(void) {
    char command[32];
    vmm_open();
    int faults = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    check(faults >= 0, "userfaultfd");
    printf("ready %d %d %llu %llu\n", memory, faults, (unsigned long long) ram,
           (unsigned long long) (ram + LOW_BYTES));
    fflush(stdout);
    while (fgets(command, sizeof command, stdin)) {
        if (!strcmp(command, "pause\n")) {
            vmm_pause();
        } else if (!strcmp(command, "resume\n")) {
            vmm_resume();
        }
        printf("done %u %d\n", vmm_counter(), vmm_surprises());
        fflush(stdout);
    }
    vmm_close();
    return 0;
}
