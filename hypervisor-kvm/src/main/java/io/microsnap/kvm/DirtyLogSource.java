package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/** KVM's dirty bitmap of each slot. Reading it clears it, or it is cleared by hand in pieces. */
final class DirtyLogSource extends SlotSource {
    private static final VarHandle LOG_SLOT = Structs.member(Structs.KVM_DIRTY_LOG, "slot");
    private static final VarHandle LOG_BITMAP = Structs.member(Structs.KVM_DIRTY_LOG, "dirty_bitmap");
    private static final VarHandle CLEAR_SLOT = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "slot");
    private static final VarHandle CLEAR_PAGES = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "num_pages");
    private static final VarHandle CLEAR_FIRST = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "first_page");
    private static final VarHandle CLEAR_BITMAP = Structs.member(Structs.KVM_CLEAR_DIRTY_LOG, "dirty_bitmap");
    /** How much is cleared at once, in words of the bitmap: 1 GiB. Meanwhile KVM delays the guest's faults. */
    private static final int WORDS_CLEARED_AT_ONCE = 4096;

    private final KvmDescriptor vm;
    private final boolean manualClear;
    /** How much of the image a word of a log stands for. */
    private final long bytesOfWord;
    private Log[] logs = {};

    DirtyLogSource(KvmDescriptor vm, MemorySlots slots, boolean manualClear) {
        super(slots);
        this.vm = vm;
        this.manualClear = manualClear;
        bytesOfWord = (long) Long.SIZE * layout().pageBytes();
    }

    @Override
    public String name() {
        return manualClear ? "KVM dirty log, cleared by hand" : "KVM dirty log";
    }

    @Override
    boolean isLogging(MemorySlot slot) throws IOException {
        try (Log log = new Log(new MemorySlots.Placed(slot, 0))) {
            return !vm.failed(vm.raw(Request.KVM_GET_DIRTY_LOG, log.request), Errno.ENOENT);
        }
    }

    @Override
    boolean isKnownToBeEmpty() {
        return false;
    }

    @Override
    void begin(List<MemorySlots.Placed> watching) throws IOException {
        if (logs.length == 0) {
            logs = logsOf(watching);
        }
        for (Log log : logs) {
            log.forget();
        }
    }

    /** Makes all logs or none: otherwise the source would be armed but blind to a slot. */
    private Log[] logsOf(List<MemorySlots.Placed> watching) throws IOException {
        List<Log> made = new ArrayList<>();
        try {
            for (MemorySlots.Placed placed : watching) {
                made.add(new Log(placed));
            }
        } catch (Throwable failure) {
            made.forEach(Log::close);
            throw failure;
        }
        return made.toArray(Log[]::new);
    }

    @Override
    void collect(DirtyBitmap into) throws IOException {
        for (Log log : logs) {
            log.takeInto(into);
        }
    }

    @Override
    void end() throws IOException {
        for (Log log : logs) {
            log.close();
        }
        logs = new Log[0];
    }

    /** One slot's bits, their position in the image, and the requests that read and clear them. */
    private final class Log implements AutoCloseable {
        private final Arena arena = Arena.ofShared();
        private final long imageOffset;
        private final long pages;
        private final LogBits bits;
        private final long request;
        private final MemorySegment clearRequest;
        private final String detail;

        Log(MemorySlots.Placed placed) throws IOException {
            imageOffset = placed.imageOffset();
            pages = placed.pages(layout().pageBytes());
            int slot = placed.slot().number();
            detail = "of slot " + slot + " (was it removed, or changed in size?)";
            MemorySegment readRequest = arena.allocate(Structs.KVM_DIRTY_LOG);
            clearRequest = arena.allocate(Structs.KVM_CLEAR_DIRTY_LOG);
            try {
                bits = new LogBits(vm.posix(), pages, name());
            } catch (Throwable failure) {
                arena.close();
                throw failure;
            }
            LOG_SLOT.set(readRequest, slot);
            LOG_BITMAP.set(readRequest, bits.addressOf(0));
            request = readRequest.address();
            CLEAR_SLOT.set(clearRequest, slot);
        }

        void forget() throws IOException {
            read();
            for (int from = 0; manualClear && from < bits.words(); from += WORDS_CLEARED_AT_ONCE) {
                clear(from, Math.min(bits.words(), from + WORDS_CLEARED_AT_ONCE));
            }
        }

        /** Takes the bits, makes KVM clear exactly those, and so protects their pages again. */
        void takeInto(DirtyBitmap into) throws IOException {
            read();
            int words = bits.words();
            for (int from = 0; from < words; from += WORDS_CLEARED_AT_ONCE) {
                int end = Math.min(words, from + WORDS_CLEARED_AT_ONCE);
                int first = bits.nextSet(from, end);
                int behind = first;
                for (int next = first; next < end; next = bits.nextSet(behind, end)) {
                    into.markPages(imageOffset + next * bytesOfWord, bits.word(next));
                    behind = next + 1;
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
            CLEAR_BITMAP.set(clearRequest, bits.addressOf(firstWord));
            vm.call(Request.KVM_CLEAR_DIRTY_LOG, clearRequest.address(), detail);
        }

        @Override
        public void close() {
            bits.close();
            arena.close();
        }
    }
}
