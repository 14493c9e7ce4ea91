// kvm harvest TRACKING LOW HIGH ALIAS TIMES RESULT CODE: runs the guest and asks KVM what it wrote; only that is timed.
// kvm idle TRACKING LOW HIGH ALIAS TIMES RESULT CODE:    asks KVM as often what a guest wrote that does not run.
// kvm state TRACKING LOW HIGH ALIAS TIMES RESULT CODE:   saves a vCPU's state.
// kvm PART TRACKING LOW HIGH ALIAS 1 RESULT CODE:        captures what was written, onto a clone beside RESULT of the
//                                                        file that it writes there first; times one PART of that, or
//                                                        "pause": all of it.
// kvm ahead-onto, ahead-full, once-onto, once-full, slowed TRACKING LOW HIGH ALIAS NANOSECONDS RESULT CODE: captures a
//                                                        guest that goes on writing, a round of its program in so many
//                                                        nanoseconds; in rounds ahead of the pause or once, during it;
//                                                        times the pause. "slowed" times a million of the guest's
//                                                        touches during the rounds.
// The guest program comes in hexadecimal, as the other side put it into its guest: both run the same one. As in any
// VMM the vCPU has a thread of its own, which empties its ring when that is full.
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CODE = 0x1000, COUNTER = 0x2000, WHAT_NEXT = 0xe0, FINISHED = 0xe4, WRITTEN_BEFORE = 16384, RING_ENTRIES = 65536, CHUNK_WORDS = 4096, MOST_MSRS = 4096 };
enum { LOG, MANUAL_CLEAR, RING };

static int vm, vcpu, kvm, tracking, slot_count;
static long times;
static struct kvm_run *run;
static uint8_t *ram;
static struct kvm_dirty_gfn *ring;
static uint32_t next;
static pthread_mutex_t emptying = PTHREAD_MUTEX_INITIALIZER;
static sem_t wanted, finished;
static uint64_t *bitmap, *log_bits, total_pages;
static struct { uint64_t guest, bytes, image; } slots[3];
static struct { struct kvm_msr_list list; uint32_t indices[MOST_MSRS]; } listed;
static struct { struct kvm_msrs all; struct kvm_msr_entry entries[MOST_MSRS]; } msrs;
static struct { struct kvm_cpuid2 all; struct kvm_cpuid_entry2 entries[256]; } cpuid;

static void check(int holds, const char *what) {
    if (!holds) {
        peer_fail(what);
    }
}

static void add_slot(uint64_t guest, uint64_t bytes, uint64_t image) {
    struct kvm_userspace_memory_region slot = {
        slot_count, KVM_MEM_LOG_DIRTY_PAGES, guest, bytes, (uint64_t) ram + image};
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0, "KVM_SET_USER_MEMORY_REGION");
    slots[slot_count].guest = guest;
    slots[slot_count].bytes = bytes;
    slots[slot_count].image = image;
    slot_count++;
}

static void harvest_log(int slot) {
    uint64_t pages = slots[slot].bytes >> 12, words = (pages + 63) / 64, first = slots[slot].image >> 12;
    struct kvm_dirty_log get = {.slot = slot, .dirty_bitmap = log_bits};
    check(ioctl(vm, KVM_GET_DIRTY_LOG, &get) == 0, "KVM_GET_DIRTY_LOG");
    for (uint64_t word = 0; word < words; word++) {
        if (log_bits[word] != 0) {
            // Regions begin on multiples of 64 pages here.
            __atomic_fetch_or(&bitmap[first / 64 + word], log_bits[word], __ATOMIC_SEQ_CST);
        }
    }
    for (uint64_t from = 0; tracking == MANUAL_CLEAR && from < words; from += CHUNK_WORDS) {
        uint64_t end = from + CHUNK_WORDS < words ? from + CHUNK_WORDS : words, low = from;
        while (low < end && log_bits[low] == 0) {
            low++;
        }
        if (low < end) {
            uint64_t high = end - 1;
            while (log_bits[high] == 0) {
                high--;
            }
            uint64_t behind = (high + 1) * 64 < pages ? (high + 1) * 64 : pages;
            struct kvm_clear_dirty_log clear = {
                .slot = slot, .first_page = low * 64, .num_pages = behind - low * 64, .dirty_bitmap = log_bits + low};
            check(ioctl(vm, KVM_CLEAR_DIRTY_LOG, &clear) == 0, "KVM_CLEAR_DIRTY_LOG");
        }
    }
}

static void harvest_ring(void) {
    pthread_mutex_lock(&emptying);
    uint32_t start = next;
    while (1) {
        struct kvm_dirty_gfn *entry = &ring[next & (RING_ENTRIES - 1)];
        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
            break;
        }
        uint64_t page = (slots[entry->slot & 0xffff].image >> 12) + entry->offset;
        uint64_t bit = 1ull << (page & 63);
        if (!(__atomic_load_n(&bitmap[page / 64], __ATOMIC_RELAXED) & bit)) {
            __atomic_fetch_or(&bitmap[page / 64], bit, __ATOMIC_SEQ_CST);
        }
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        next++;
    }
    if (next != start) {
        check(ioctl(vm, KVM_RESET_DIRTY_RINGS, 0) >= 0, "KVM_RESET_DIRTY_RINGS");
    }
    pthread_mutex_unlock(&emptying);
}

static void harvest(void) {
    if (tracking == RING) {
        harvest_ring();
    } else {
        for (int slot = 0; slot < slot_count; slot++) {
            harvest_log(slot);
        }
    }
}

static void begin(void) {
    struct kvm_sregs special;
    check(ioctl(vcpu, KVM_GET_SREGS, &special) == 0, "KVM_GET_SREGS");
    special.cs.base = CODE;
    special.cs.selector = CODE >> 4;
    special.ds.base = 0;
    special.ds.selector = 0;
    special.ds.limit = 0xffffffff;
    special.ds.g = 1;
    special.es = special.ds;
    check(ioctl(vcpu, KVM_SET_SREGS, &special) == 0, "KVM_SET_SREGS");
    struct kvm_regs registers = {.rip = 0, .rflags = 2};
    check(ioctl(vcpu, KVM_SET_REGS, &registers) == 0, "KVM_SET_REGS");
}

static void run_once(void) {
    while (1) {
        check(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
        if (run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
            harvest_ring();
        } else {
            check(run->exit_reason == KVM_EXIT_IO && run->io.port == FINISHED, "the guest's end");
            break;
        }
    }
    run->immediate_exit = 1;
    ioctl(vcpu, KVM_RUN, 0);
    run->immediate_exit = 0;
}

static void *live(void *unused) {
    while (1) {
        sem_wait(&wanted);
        run_once();
        sem_post(&finished);
    }
    return unused;
}

static void run_guest(void) {
    begin();
    sem_post(&wanted);
    sem_wait(&finished);
}

static struct {
    struct kvm_regs registers;
    struct kvm_sregs2 special;
    struct kvm_xsave vectors;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp;
    struct kvm_clock_data clock;
    struct kvm_irqchip chip;
    struct kvm_pit_state2 timer;
    struct kvm_lapic_state apic;
} state;

// The same ioctls as MachineState.save, on the same kind of VM, without interrupt chip and timer.
static void save(void) {
    memset(&state, 0, sizeof state);
    ioctl(vm, KVM_GET_IRQCHIP, &state.chip);
    ioctl(vm, KVM_GET_PIT2, &state.timer);
    check(ioctl(vm, KVM_GET_CLOCK, &state.clock) == 0, "KVM_GET_CLOCK");
    cpuid.all.nent = 128;
    check(ioctl(vcpu, KVM_GET_CPUID2, &cpuid) == 0, "KVM_GET_CPUID2");
    check(ioctl(vcpu, KVM_GET_MP_STATE, &state.mp) == 0, "KVM_GET_MP_STATE");
    check(ioctl(vcpu, KVM_GET_REGS, &state.registers) == 0, "KVM_GET_REGS");
    check(ioctl(vcpu, KVM_GET_SREGS2, &state.special) == 0, "KVM_GET_SREGS2");
    check(ioctl(vcpu, KVM_GET_XCRS, &state.xcrs) == 0, "KVM_GET_XCRS");
    check(ioctl(vcpu, KVM_GET_XSAVE2, &state.vectors) == 0, "KVM_GET_XSAVE2");
    check(ioctl(vcpu, KVM_GET_DEBUGREGS, &state.debug) == 0, "KVM_GET_DEBUGREGS");
    ioctl(vcpu, KVM_GET_LAPIC, &state.apic);
    while (1) {
        msrs.all.nmsrs = listed.list.nmsrs;
        for (uint32_t number = 0; number < listed.list.nmsrs; number++) {
            msrs.entries[number].index = listed.indices[number];
        }
        int read = ioctl(vcpu, KVM_GET_MSRS, &msrs);
        check(read >= 0, "KVM_GET_MSRS");
        if (read == (int) listed.list.nmsrs) {
            break;
        }
        listed.list.nmsrs--;
        memmove(&listed.indices[read], &listed.indices[read + 1], (listed.list.nmsrs - read) * sizeof(uint32_t));
    }
    check(ioctl(vcpu, KVM_GET_VCPU_EVENTS, &state.events) == 0, "KVM_GET_VCPU_EVENTS");
    check(ioctl(vcpu, KVM_GET_TSC_KHZ, 0) >= 0, "KVM_GET_TSC_KHZ");
}

static void make(uint64_t low, uint64_t high, uint64_t alias, const char *code) {
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm >= 0, "/dev/kvm");
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm >= 0, "KVM_CREATE_VM");
    struct kvm_enable_cap enable = {0};
    if (tracking == MANUAL_CLEAR) {
        enable.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
        enable.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
        check(ioctl(vm, KVM_ENABLE_CAP, &enable) == 0, "KVM_ENABLE_CAP");
    } else if (tracking == RING) {
        enable.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
        enable.args[0] = RING_ENTRIES * sizeof(struct kvm_dirty_gfn);
        check(ioctl(vm, KVM_ENABLE_CAP, &enable) == 0, "KVM_ENABLE_CAP");
    }
    ram = mmap(NULL, low + high, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(ram != MAP_FAILED, "mmap");
    total_pages = (low + high) >> 12;
    bitmap = calloc((total_pages + 63) / 64, 8);
    log_bits = calloc((total_pages + 63) / 64, 8);
    add_slot(0, low, 0);
    if (high > 0) {
        add_slot(1ull << 32, high, low);
        add_slot(low, alias, low);
    }
    for (size_t byte = 0; byte < strlen(code) / 2; byte++) {
        unsigned value;
        check(sscanf(code + 2 * byte, "%2x", &value) == 1, "the program");
        ram[CODE + byte] = value;
    }
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu >= 0, "KVM_CREATE_VCPU");
    cpuid.all.nent = 256;
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0, "KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, &cpuid) == 0, "KVM_SET_CPUID2");
    run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    check(run != MAP_FAILED, "mmap");
    if (tracking == RING) {
        ring = mmap(NULL, RING_ENTRIES * sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
                    KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
        check(ring != MAP_FAILED, "mmap");
    }
    pthread_t thread;
    check(sem_init(&wanted, 0, 0) == 0 && sem_init(&finished, 0, 0) == 0, "sem_init");
    check(pthread_create(&thread, NULL, live, NULL) == 0, "pthread_create");
    listed.list.nmsrs = MOST_MSRS;
    check(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &listed) == 0, "KVM_GET_MSR_INDEX_LIST");
}

static char base_path[PATH_MAX], clone_path[PATH_MAX];
static int clone_file = -1;

static void write_all(int file, uint64_t offset, uint64_t end) {
    while (offset < end) {
        ssize_t written = pwrite(file, ram + offset, end - offset, offset);
        check(written > 0, "pwrite");
        offset += written;
    }
}

static void write_base(const char *beside) {
    snprintf(base_path, sizeof base_path, "%s.base", beside);
    snprintf(clone_path, sizeof clone_path, "%s.clone", beside);
    int base = open(base_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(base >= 0, base_path);
    // No page is zero, none is like another.
    for (uint64_t page = CODE / 4096 + 2; page < total_pages; page++) {
        memset(ram + (page << 12), (int) (page % 255) + 1, 4096);
    }
    write_all(base, 0, total_pages << 12);
    check(fsync(base) == 0, "fsync");
    close(base);
}

static void clone_base(void) {
    if (clone_file >= 0) {
        close(clone_file);
        unlink(clone_path);
    }
    int base = open(base_path, O_RDONLY);
    clone_file = open(clone_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(clone_file >= 0 && ioctl(clone_file, FICLONE, base) == 0, "FICLONE");
    close(base);
}

static void write_runs(void) {
    uint64_t page = 0;
    while (page < total_pages) {
        if (bitmap[page / 64] == 0) {
            page = (page / 64 + 1) * 64;
        } else if (!(bitmap[page / 64] >> (page & 63) & 1)) {
            page++;
        } else {
            uint64_t start = page;
            while (page < total_pages && bitmap[page / 64] >> (page & 63) & 1) {
                page++;
            }
            write_all(clone_file, start << 12, page << 12);
        }
    }
}

static long long capture(const char *part) {
    long long start = peer_now();
    save();
    long long saved = peer_now();
    harvest();
    long long harvested = peer_now();
    write_runs();
    long long end = peer_now();
    return !strcmp(part, "pause-state") ? saved - start
        : !strcmp(part, "pause-harvest") ? harvested - saved
        : !strcmp(part, "pause-memory") ? end - harvested : end - start;
}

static void forget(void) {
    memset(bitmap, 0, (total_pages + 63) / 64 * 8);
}

static pthread_t steady;
static volatile int stopping;
static sem_t stopped, resumed;
static uint64_t *since_base;

static void ignore(int signal) {
    (void) signal;
}

// A round of the program in so many nanoseconds, until it is told to stop.
static void *run_steadily(void *unused) {
    long long next_round = peer_now();
    while (1) {
        if (ioctl(vcpu, KVM_RUN, 0) == 0) {
            check(run->exit_reason == KVM_EXIT_IO && run->io.port == WHAT_NEXT, "the guest's question");
            *(uint32_t *) ((uint8_t *) run + run->io.data_offset) = 0;
            long long now = peer_now();
            next_round = next_round + times < now ? now : next_round + times;
            struct timespec until = {next_round / 1000000000, next_round % 1000000000};
            if (times > 0 && !stopping) {
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            }
        } else {
            check(errno == EINTR, "KVM_RUN");
            if (stopping) {
                run->immediate_exit = 0;
                stopping = 0;
                sem_post(&stopped);
                while (sem_wait(&resumed) != 0) {
                    // The signal that stopped the guest may come only now.
                }
                next_round = peer_now();
            }
        }
    }
    return unused;
}

static void stop_guest(void) {
    stopping = 1;
    run->immediate_exit = 1;
    pthread_kill(steady, SIGUSR1);
    while (sem_wait(&stopped) != 0) {
    }
}

static void start_steadily(int slowed) {
    struct sigaction action = {.sa_handler = ignore};
    check(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    check(sem_init(&stopped, 0, 0) == 0 && sem_init(&resumed, 0, 0) == 0, "sem_init");
    since_base = calloc((total_pages + 63) / 64, 8);
    begin();
    check(pthread_create(&steady, NULL, run_steadily, NULL) == 0, "pthread_create");
    if (!slowed) {
        stop_guest();
    }
}

static uint64_t harvest_round(void) {
    memset(bitmap, 0, (total_pages + 63) / 64 * 8);
    harvest();
    uint64_t pages = 0;
    for (uint64_t word = 0; word < (total_pages + 63) / 64; word++) {
        since_base[word] |= bitmap[word];
        pages += __builtin_popcountll(bitmap[word]);
    }
    return pages;
}

static void stage(int full) {
    if (!full) {
        clone_base();
        return;
    }
    if (clone_file >= 0) {
        close(clone_file);
        unlink(clone_path);
    }
    clone_file = open(clone_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(clone_file >= 0 && ftruncate(clone_file, total_pages << 12) == 0, clone_path);
}

// Everything since the base, or everything there is.
static void write_first(int full) {
    if (full) {
        write_all(clone_file, 0, total_pages << 12);
    } else {
        memcpy(bitmap, since_base, (total_pages + 63) / 64 * 8);
        write_runs();
    }
}

static void rounds_ahead(int full) {
    uint64_t before = UINT64_MAX, pages = harvest_round();
    for (int round = 1;; round++) {
        long long start = peer_now();
        if (round == 1) {
            write_first(full);
        } else {
            write_runs();
        }
        if (peer_now() - start <= 1000000 || pages <= 64 || (round > 1 && pages >= before) || round == 10) {
            break;
        }
        before = round == 1 ? total_pages : pages;
        pages = harvest_round();
    }
}

// A full copy alone has everything: to a clone, what was written before the second is not copied.
static void require_same(int full) {
    static uint8_t page[1 << 20];
    for (uint64_t at = 0; full && at < total_pages << 12; at += sizeof page) {
        check(pread(clone_file, page, sizeof page, at) == sizeof page, "pread");
        if (memcmp(page, ram + at, sizeof page) != 0) {
            errno = EIO;
            peer_fail("the copy is not what the guest has");
        }
    }
}

static uint32_t touches(void) {
    return *(volatile uint32_t *) (ram + COUNTER);
}

// A second of the guest's life, and the pause at its end. It stands still until the next one.
static long long capture_running(int full, int ahead) {
    harvest_round();
    memset(since_base, 0, (total_pages + 63) / 64 * 8);
    sem_post(&resumed);
    for (uint32_t enough = touches() + WRITTEN_BEFORE; touches() < enough;) {
        usleep(1000);
    }
    stage(full);
    if (ahead) {
        rounds_ahead(full);
    }
    long long start = peer_now();
    stop_guest();
    save();
    harvest_round();
    if (ahead) {
        write_runs();
    } else {
        write_first(full);
    }
    long long end = peer_now();
    require_same(full);
    return end - start;
}

static long long nanoseconds_a_million_touches(void) {
    long long nanoseconds = 0;
    uint32_t touched = 0;
    while (nanoseconds < 500000000) {
        stage(0);
        uint32_t before = touches();
        long long start = peer_now();
        rounds_ahead(0);
        nanoseconds += peer_now() - start;
        touched += touches() - before;
    }
    return nanoseconds * 1000000 / touched;
}

static long long serve_running(const char *command) {
    return strcmp(command, "slowed") == 0 ? nanoseconds_a_million_touches()
        : capture_running(strstr(command, "full") != NULL, strncmp(command, "ahead", 5) == 0);
}

// Calls that take microseconds are timed together, those that need the guest to run before each one by one.
static long long serve(const char *command) {
    int saving = strcmp(command, "state") == 0, capturing = strncmp(command, "pause", 5) == 0;
    long long nanoseconds = 0;
    if (saving || strcmp(command, "idle") == 0) {
        if (saving) {
            run_guest();
        }
        forget();
        long long start = peer_now();
        for (long repeat = 0; repeat < times; repeat++) {
            saving ? save() : harvest();
        }
        return peer_now() - start;
    }
    for (long repeat = 0; repeat < times; repeat++) {
        run_guest();
        forget();
        if (capturing) {
            clone_base();
            nanoseconds += capture(command);
        } else {
            long long start = peer_now();
            harvest();
            nanoseconds += peer_now() - start;
        }
    }
    return nanoseconds;
}

int main(int argc, char **argv) {
    if (argc != 9) {
        return 2;
    }
    int capturing = strncmp(argv[1], "pause", 5) == 0;
    int saving = strcmp(argv[1], "state") == 0;
    int running = strchr(argv[1], '-') != NULL && !capturing;
    running |= strcmp(argv[1], "slowed") == 0;
    tracking = atoi(argv[2]);
    times = atol(argv[6]);
    make(strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), argv[8]);
    if (capturing || running) {
        write_base(argv[7]);
    }
    harvest();
    if (running) {
        start_steadily(strcmp(argv[1], "slowed") == 0);
    }
    char request[16];
    while (fgets(request, sizeof request, stdin) != NULL) {
        long long nanoseconds = running ? serve_running(argv[1]) : serve(argv[1]);
        uint64_t found = 0;
        for (uint64_t word = 0; word < (total_pages + 63) / 64; word++) {
            found += __builtin_popcountll(bitmap[word]);
        }
        FILE *result = fopen(argv[7], "w");
        check(result != NULL, argv[7]);
        fprintf(result, "%llu", saving ? (unsigned long long) listed.list.nmsrs : (unsigned long long) found);
        fclose(result);
        printf("%lld\n", nanoseconds);
        fflush(stdout);
    }
    return 0;
}
