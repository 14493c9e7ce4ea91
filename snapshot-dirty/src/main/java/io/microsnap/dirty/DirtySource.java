package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import java.io.IOException;
import java.util.Set;

/**
 * One way to find out what changed in a guest's memory: a hypervisor's log, write protection, a page-map scan. A {@link
 * DirtyTracker} arms it, harvests it, unites its changes with those of other sources and makes epochs of them.
 *
 * <p>The tracker that owns a source makes one call at a time, from any thread; the guest may run during all of them.
 * What is written while {@link #harvest} runs is reported by it or by the next one.
 */
public interface DirtySource extends AutoCloseable {
    /**
     * Watches the mapping of guest memory in this process without its hypervisor's help: Linux (6.7 and later)
     * write-protects the pages, lets the first write through by itself, and tells afterwards which pages were written.
     * It needs no privilege, and no thread waits on it. The memory is kept mapped while the source is open: another
     * guest's memory at the same address would be taken for it.
     *
     * <p>It sees what is written through the mapping it watches, by the processors of a KVM guest, by stores, by system
     * calls such as {@code read} into it; and nothing else. The mapping must stay in place while it is watched: the
     * harvest fails if it was replaced. Watching costs the guest a fault for the first write to a page in each epoch,
     * and page tables (2 MiB for each GiB of pages of 4 KiB) also where memory was never touched.
     *
     * @throws TrackingUnavailableException where the kernel lacks it or forbids it, with the reason
     */
    static DirtySource ofPageMap(GuestMemory memory) throws IOException {
        return PageMapSource.of(memory);
    }

    /**
     * As {@link #ofPageMap(GuestMemory)}, for memory of another process, which made a userfaultfd for it and must be
     * traceable by this one.
     *
     * @param layout the guest
     * @param addresses where each region starts in that process: a page boundary
     * @param process its process id
     * @param userfaultfd the descriptor's number there: fresh, or with {@code UFFD_FEATURE_WP_ASYNC} agreed on already
     * @throws TrackingUnavailableException where the kernel lacks it, with the reason
     */
    static DirtySource ofPageMap(GuestLayout layout, long[] addresses, long process, int userfaultfd)
            throws IOException {
        return PageMapSource.ofProcess(layout, addresses, process, userfaultfd);
    }

    /** Returns its name for messages, such as {@code KVM dirty log}. */
    String name();

    /** Returns the guest whose memory it watches. */
    GuestLayout layout();

    /** Returns the largest unit in which it reports: a page, or a block when one write may make more pages dirty. */
    long blockBytes();

    /** Returns its ownership: the same object in every call, shared by sources that read the same log. */
    SourceOwnership ownership();

    /** Returns the ways of writing that it cannot see; the user must mark such writes with the tracker. */
    Set<WritePath> blindTo();

    /**
     * Begins to watch and forgets earlier writes. Allowed in every state, also while it is watching and after a
     * failure. The source reports every write made after this returns.
     */
    void arm() throws IOException;

    /**
     * Adds what changed since it was armed or last harvested, and keeps watching. After a failure nothing is known
     * until it is armed again. Throws {@link IllegalStateException} if it is not armed.
     */
    void harvest(DirtyBitmap into) throws IOException;

    /**
     * Harvests once more for a capture that copied memory since the last harvest, while the guest ran. This must name
     * every page that was written, even if its content is as before: the copy may hold the content of the time in
     * between.
     */
    default void harvestAgain(DirtyBitmap into) throws IOException {
        harvest(into);
    }

    /** Stops watching, so that it no longer slows the guest. Does nothing if it is not watching. */
    void disarm() throws IOException;

    /**
     * Learns from a capture that compared pages which of them really differed. A source that reports in blocks may
     * choose better block sizes.
     *
     * @param reported the pages reported to the capture
     * @param changed the pages of it that had really changed
     */
    default void learn(DirtyBitmap reported, DirtyBitmap changed) {
    }

    /** Disarms, and frees its resources. A second call does nothing. */
    @Override
    void close() throws IOException;
}
