package io.microsnap.kvm;

import io.microsnap.core.posix.Constants;
import io.microsnap.core.posix.Errno;
import io.microsnap.core.posix.Posix;
import io.microsnap.core.posix.SystemCallException;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.kvm.abi.Request;
import io.microsnap.kvm.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/** KVM's dirty bitmap of each slot, cleared by being read or, piece by piece, by hand. */
final class DirtyLogSource extends SlotSource {
    private static final VarHandle LOG_SLOT = Structs.member(Structs.KVM_DIRTY_LOG, "slot");
    private static final VarHandle LOG_BITMAP = Structs.member(Structs.KVM_DIRTY_LOG, "dirty_bitmap");
    private static final VarHandle CLEAR_SLOT = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "slot");
    private static final VarHandle CLEAR_PAGES = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "num_pages");
    private static final VarHandle CLEAR_FIRST = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "first_page");
    private static final VarHandle CLEAR_BITMAP = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "dirty_bitmap");
    /** How much is cleared at once, in words of the bitmap: 1 GiB. Meanwhile KVM holds off the guest's faults. */
    private static final int WORDS_CLEARED_AT_ONCE = 4096;
    private static final int WORDS_TAKEN_AT_ONCE = 64;
    private static final int STEP = 8;

    private final KvmDescriptor vm;
    private final boolean manualClear;
    private List<Log> logs = List.of();

    DirtyLogSource(KvmDescriptor vm, MemorySlots slots, boolean manualClear) {
        super(slots);
        this.vm = vm;
        this.manualClear = manualClear;
    }

    @Override
    public String name() {
        return manualClear ? "KVM dirty log, cleared by hand" : "KVM dirty log";
    }

    @Override
    boolean isLogging(MemorySlot slot) throws IOException {
        try (Log log = new Log(slot.number(), slot.guest().lengthBytes() / layout().pageBytes())) {
            return !vm.failed(vm.raw(Request.KVM_GET_DIRTY_LOG, log.request), Errno.ENOENT);
        }
    }

    @Override
    boolean isKnownToBeEmpty() {
        return false;
    }

    @Override
    void begin(List<MemorySlots.Placed> watching) throws IOException {
        if (logs.isEmpty()) {
            List<Log> fresh = new ArrayList<>();
            logs = fresh;
            for (MemorySlots.Placed placed : watching) {
                fresh.add(new Log(placed.slot().number(), placed.pages(layout().pageBytes())));
            }
        }
        for (Log log : logs) {
            log.forget();
        }
    }

    @Override
    void collect(List<MemorySlots.Placed> watching, DirtyBitmap into) throws IOException {
        for (int index = 0; index < logs.size(); index++) {
            logs.get(index).takeInto(into, watching.get(index).imageOffset());
        }
    }

    @Override
    void end() throws IOException {
        for (Log log : logs) {
            log.close();
        }
        logs = List.of();
    }

    /** One slot's bitmap, and the requests that read and clear it. */
    private final class Log implements AutoCloseable {
        private final Arena arena = Arena.ofShared();
        private final long pages;
        private final int words;
        private final MemorySegment bits;
        private final MemorySegment request;
        private final MemorySegment clearRequest;
        private final String detail;

        Log(int slot, long pages) throws IOException {
            this.pages = pages;
            detail = "of slot " + slot + " (was it removed, or changed in size?)";
            // KVM has no slots of so many pages that this were no int.
            words = Math.toIntExact((pages + Long.SIZE - 1) / Long.SIZE);
            try {
                bits = endingAtAGuard((long) words * Long.BYTES);
                request = arena.allocate(Structs.KVM_DIRTY_LOG);
                clearRequest = arena.allocate(Structs.KVM_CLEAR_DIRTY_LOG);
            } catch (IOException | RuntimeException failure) {
                arena.close();
                throw failure;
            }
            LOG_SLOT.set(request, slot);
            LOG_BITMAP.set(request, bits.address());
            CLEAR_SLOT.set(clearRequest, slot);
        }

        /**
         * KVM writes as many bits as <em>its</em> slot has pages. Should the slot have grown without our being told,
         * it runs into a page that nobody may write, and the call fails.
         */
        @SuppressWarnings("restricted")
        private MemorySegment endingAtAGuard(long bytes) throws IOException {
            Posix posix = vm.posix();
            Constants constants = posix.constants();
            long page = posix.getpagesize();
            long room = (bytes + page - 1) / page * page;
            long address = posix.mmap(0, room + page, constants.PROT_READ | constants.PROT_WRITE,
                    constants.MAP_PRIVATE | constants.MAP_ANONYMOUS, -1, 0);
            check(address, "mmap of " + (room + page) + " bytes");
            MemorySegment whole = MemorySegment.ofAddress(address)
                    .reinterpret(room, arena, mapping -> posix.munmap(mapping.address(), room + page));
            check(posix.mprotect(address + room, page, constants.PROT_NONE), "mprotect");
            return whole.asSlice(room - bytes);
        }

        private void check(long result, String call) throws IOException {
            if (result < 0) {
                throw SystemCallException.of(vm.posix(), result, call, name(), "for a slot's bitmap");
            }
        }

        void forget() throws IOException {
            read();
            for (int from = 0; manualClear && from < words; from += WORDS_CLEARED_AT_ONCE) {
                clear(from, Math.min(words, from + WORDS_CLEARED_AT_ONCE));
            }
        }

        /** What was taken KVM may forget, exactly that, and protects those pages again. */
        void takeInto(DirtyBitmap into, long imageOffset) throws IOException {
            read();
            for (int from = 0; from < words; from += WORDS_CLEARED_AT_ONCE) {
                int end = Math.min(words, from + WORDS_CLEARED_AT_ONCE);
                int first = nextSet(from, end);
                int behind = first;
                for (int next = first; next < end; next = nextSet(behind, end)) {
                    behind = Math.min(end, next + WORDS_TAKEN_AT_ONCE);
                    long firstPage = (long) next * Long.SIZE;
                    into.orBits(imageOffset + firstPage * layout().pageBytes(), slice(next, behind),
                            Math.min(pages, (long) behind * Long.SIZE) - firstPage);
                }
                if (manualClear && first < behind) {
                    clear(first, behind);
                }
            }
        }

        private void read() throws IOException {
            vm.call(Request.KVM_GET_DIRTY_LOG, request, detail);
        }

        private void clear(int firstWord, int endWord) throws IOException {
            long firstPage = (long) firstWord * Long.SIZE;
            CLEAR_FIRST.set(clearRequest, firstPage);
            CLEAR_PAGES.set(clearRequest, (int) (Math.min(pages, (long) endWord * Long.SIZE) - firstPage));
            CLEAR_BITMAP.set(clearRequest, bits.address() + (long) firstWord * Long.BYTES);
            vm.call(Request.KVM_CLEAR_DIRTY_LOG, clearRequest, detail);
        }

        private MemorySegment slice(int firstWord, int endWord) {
            return bits.asSlice((long) firstWord * Long.BYTES, (long) (endWord - firstWord) * Long.BYTES);
        }

        /** Most of a log is zeros as a rule: they are passed over eight words at a time, a branch for each step. */
        private int nextSet(int from, int end) {
            int at = from;
            while (at <= end - STEP && (word(at) | word(at + 1) | word(at + 2) | word(at + 3)
                    | word(at + 4) | word(at + 5) | word(at + 6) | word(at + 7)) == 0) {
                at += STEP;
            }
            while (at < end && word(at) == 0) {
                at++;
            }
            return at;
        }

        /** By an int: loops over a long index keep their bounds checks. */
        private long word(int index) {
            return bits.get(ValueLayout.JAVA_LONG, (long) index << 3);
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
