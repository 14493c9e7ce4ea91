package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import org.agrona.UnsafeApi;

/**
 * The memory into which KVM writes a slot's dirty log: a bit for each of its pages.
 *
 * <p>Neither the index of a word nor the liveness of the memory is checked: as with {@link DirtyRing}, such checks for
 * each word would be a large part of a harvest's cost beyond KVM's own work. The caller makes sure that no thread
 * closes it meanwhile.
 */
final class LogBits implements AutoCloseable {
    private static final int STEP = 8;

    private final Posix posix;
    private final long mapping;
    private final long mappedBytes;
    private final long address;
    private final int words;

    /**
     * KVM writes as many bits as <em>its</em> slot has pages. If the slot has grown without notice, KVM reaches a guard
     * page that cannot be written, and the call fails.
     */
    LogBits(Posix posix, long pages, String name) throws IOException {
        this.posix = posix;
        // KVM's largest slot has few enough pages for an int.
        words = Math.toIntExact((pages + Long.SIZE - 1) / Long.SIZE);
        long page = posix.getpagesize();
        long bytes = (long) words * Long.BYTES;
        long room = (bytes + page - 1) / page * page;
        mappedBytes = room + page;
        Constants constants = posix.constants();
        mapping = posix.mmap(0, mappedBytes, constants.PROT_READ | constants.PROT_WRITE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS, -1, 0);
        check(mapping, "mmap of " + mappedBytes + " bytes", name);
        address = mapping + room - bytes;
        try {
            check(posix.mprotect(mapping + room, page, constants.PROT_NONE), "mprotect", name);
        } catch (IOException failure) {
            close();
            throw failure;
        }
    }

    private void check(long result, String call, String name) throws IOException {
        if (result < 0) {
            throw SystemCallException.of(posix, result, call, name, "for a slot's bitmap");
        }
    }

    int words() {
        return words;
    }

    long addressOf(int word) {
        return address + ((long) word << 3);
    }

    long word(int index) {
        return UnsafeApi.getLong(null, addressOf(index));
    }

    /**
     * Returns the first word from this one on that has a bit set, or the end. Most of a log is usually zeros, so this
     * skips eight words with each branch.
     */
    int nextSet(int from, int end) {
        int at = from;
        if (at < end && word(at) == 0) {
            while (at <= end - STEP && (word(at) | word(at + 1) | word(at + 2) | word(at + 3)
                    | word(at + 4) | word(at + 5) | word(at + 6) | word(at + 7)) == 0) {
                at += STEP;
            }
            while (at < end && word(at) == 0) {
                at++;
            }
        }
        return at;
    }

    /** Unmaps it. No call may follow, not even a second close. */
    @Override
    public void close() {
        posix.munmap(mapping, mappedBytes);
    }
}
