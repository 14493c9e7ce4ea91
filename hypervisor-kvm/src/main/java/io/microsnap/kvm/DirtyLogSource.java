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
    private static final long WORDS_CLEARED_AT_ONCE = 4096;
    private static final long WORDS_ADDED_AT_ONCE = 64;
    private static final int STRIDE = 8;

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
    void begin(List<MemorySlots.Placed> watching) throws IOException {
        if (logs.isEmpty()) {
            List<Log> fresh = new ArrayList<>();
            logs = fresh;
            for (MemorySlots.Placed placed : watching) {
                fresh.add(new Log(placed.slot().number(), placed.pages(layout().pageBytes())));
            }
        }
        for (Log log : logs) {
            log.read();
            log.clear();
        }
    }

    @Override
    void collect(List<MemorySlots.Placed> watching, DirtyBitmap into) throws IOException {
        for (int index = 0; index < logs.size(); index++) {
            Log log = logs.get(index);
            log.read();
            log.addTo(into, watching.get(index).imageOffset());
            log.clear();
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
        private final MemorySegment bits;
        private final MemorySegment request;
        private final MemorySegment clearRequest;
        private final String detail;

        Log(int slot, long pages) throws IOException {
            this.pages = pages;
            detail = "of slot " + slot + " (was it removed, or changed in size?)";
            long words = (pages + Long.SIZE - 1) / Long.SIZE;
            try {
                bits = endingAtAGuard(words * Long.BYTES);
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

        void read() throws IOException {
            vm.call(Request.KVM_GET_DIRTY_LOG, request, detail);
        }

        /** Most of a log is zeros as a rule: they are passed over, and only what lies around set bits is handed on. */
        void addTo(DirtyBitmap into, long imageOffset) {
            long words = bits.byteSize() / Long.BYTES;
            long from = nextSet(0, words);
            while (from < words) {
                long end = Math.min(words, from + WORDS_ADDED_AT_ONCE);
                long firstPage = from * Long.SIZE;
                into.orBits(imageOffset + firstPage * layout().pageBytes(),
                        bits.asSlice(from * Long.BYTES, (end - from) * Long.BYTES),
                        Math.min(pages, end * Long.SIZE) - firstPage);
                from = nextSet(end, words);
            }
        }

        /** What was read was taken: KVM may forget exactly that, and protects those pages again. */
        void clear() throws IOException {
            if (!manualClear) {
                return;
            }
            long words = bits.byteSize() / Long.BYTES;
            for (long from = 0; from < words; from += WORDS_CLEARED_AT_ONCE) {
                long end = Math.min(words, from + WORDS_CLEARED_AT_ONCE);
                long first = nextSet(from, end);
                if (first < end) {
                    long last = end - 1;
                    while (word(last) == 0) {
                        last--;
                    }
                    clear(first, last);
                }
            }
        }

        private void clear(long firstWord, long lastWord) throws IOException {
            long firstPage = firstWord * Long.SIZE;
            CLEAR_FIRST.set(clearRequest, firstPage);
            CLEAR_PAGES.set(clearRequest, (int) (Math.min(pages, (lastWord + 1) * Long.SIZE) - firstPage));
            CLEAR_BITMAP.set(clearRequest, bits.address() + firstWord * Long.BYTES);
            vm.call(Request.KVM_CLEAR_DIRTY_LOG, clearRequest, detail);
        }

        private long nextSet(long from, long end) {
            long at = from;
            // Eight words a step: a branch for each would cost more than reading them.
            while (at + STRIDE <= end && (word(at) | word(at + 1) | word(at + 2) | word(at + 3)
                    | word(at + 4) | word(at + 5) | word(at + 6) | word(at + 7)) == 0) {
                at += STRIDE;
            }
            while (at < end && word(at) == 0) {
                at++;
            }
            return at;
        }

        private long word(long index) {
            return bits.get(ValueLayout.JAVA_LONG, index * Long.BYTES);
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
