package io.microsnap.memory;

import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.internal.image.Zeros;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.SnapshotDescription;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * A capture to be made of a machine: what a VM manager says before it pauses one. Say what to capture, then
 * {@link #take} it; or {@link #prepare} it, {@link PreparedCapture#capture} it and {@link CapturedSnapshot#publish} it,
 * where the three are not to follow each other at once.
 *
 * <p>While the machine is paused nothing goes further than the page cache, unless {@link #io} says so. A capture that
 * is not published, for whatever reason, leaves nothing in the store and gives the tracker back what changed.
 */
public final class Capture implements Cloneable {
    final DirectoryStore store;
    final SnapshotId id;
    final PageReader reader;
    Optional<DirtyTracker> tracker = Optional.empty();
    Optional<SnapshotId> base = Optional.empty();
    CaptureKind kind = CaptureKind.AUTOMATIC;
    /** What the caller says of the snapshot; kind, parent and base are for the capture to say. */
    SnapshotDescription described;
    Map<String, Path> attachments = Map.of();
    IfExists ifExists = IfExists.REFUSE;
    FragmentationPolicy fragmentation = FragmentationPolicy.DEFAULT;
    AfterBake afterBake = AfterBake.usual();
    Optional<Zeros> zeros = Optional.empty();
    int threads = 1;
    IoMode io = IoMode.CACHED;
    boolean checked;
    Progress progress = Progress.NONE;
    Optional<CopyAhead> copyAhead = Optional.empty();

    private Capture(DirectoryStore store, SnapshotId id, PageReader reader) {
        this.store = Objects.requireNonNull(store);
        this.id = Objects.requireNonNull(id);
        this.reader = Objects.requireNonNull(reader);
        described = SnapshotDescription.full(reader.layout());
    }

    /** Into a store, under this id, what the reader reads. */
    public static Capture of(SnapshotStore store, SnapshotId id, PageReader reader) {
        return new Capture(DirectoryStore.of(store), id, reader);
    }

    /** Asks this tracker what changed, and tells it when that is safely kept. */
    public Capture tracker(DirtyTracker knowsWhatChanged) {
        tracker = Optional.of(knowsWhatChanged);
        return this;
    }

    /**
     * The snapshot to build on. Without it that is the one the tracker's epoch is relative to. Where there is no
     * tracker, or it does not know what changed, every page is compared with the base.
     */
    public Capture base(SnapshotId snapshot) {
        base = Optional.of(snapshot);
        return this;
    }

    /** How to keep it; {@link CaptureKind#AUTOMATIC} unless told. */
    public Capture kind(CaptureKind wanted) {
        kind = Objects.requireNonNull(wanted);
        return this;
    }

    /** Names the guest image that the machine was baked from. What a manifest cannot carry is refused at once. */
    public Capture imageName(String name) {
        described = described.withImage(name);
        return this;
    }

    /** Names the version of the software that bakes. What a manifest cannot carry is refused at once. */
    public Capture bakerVersion(String version) {
        described = described.withBakedByVersion(version);
        return this;
    }

    /** Adds a label, or gives one another value. What a manifest cannot carry is refused at once. */
    public Capture label(String key, String value) {
        described = described.withLabel(key, value);
        return this;
    }

    /**
     * Keeps a file of the same moment, such as a disk overlay: cloned during the pause, copied where it cannot be.
     * Names that {@link SnapshotFiles#attachment} refuses, and two that differ in case alone, are refused at once.
     */
    public Capture attach(String name, Path file) {
        SnapshotFiles.attachment(name);
        if (attachments.keySet().stream().anyMatch(name::equalsIgnoreCase)) {
            throw new IllegalArgumentException("two attachments are named " + name + ", as far as case is not counted");
        }
        Map<String, Path> more = new LinkedHashMap<>(attachments);
        more.put(name, file);
        attachments = Collections.unmodifiableMap(more);
        return this;
    }

    /** What to do where the id is taken; refuse unless told. */
    public Capture ifExists(IfExists decision) {
        ifExists = decision;
        return this;
    }

    /** Up to which limits {@link CaptureKind#AUTOMATIC} clones, and makes diffs; the default's unless told. */
    public Capture fragmentation(FragmentationPolicy policy) {
        fragmentation = Objects.requireNonNull(policy);
        return this;
    }

    /**
     * Sets how a full snapshot shares blocks with its most alike sibling once it is published, in the thread that
     * publishes it. Without this call it does so, too, for at most ten seconds, and not where the environment variable
     * {@code MICROSNAP_AUTO_DEDUP} is {@code 0}. Sharing never fails the capture, keeps to the fragmentation policy of
     * the capture whatever these options say, and its outcome is in the result.
     */
    public Capture sharing(DedupOptions options) {
        afterBake = AfterBake.usual().with(options);
        return this;
    }

    /** As {@link #sharing(DedupOptions)}, with another limit to its time: what is shared by then stays shared. */
    public Capture sharing(DedupOptions options, Duration limit) {
        afterBake = AfterBake.usual().with(options).within(limit);
        return this;
    }

    /** Shares no blocks once the snapshot is published; a {@link Deduplicator} can do that later. */
    public Capture withoutSharing() {
        afterBake = afterBake.enabled(false);
        return this;
    }

    /** What becomes of zeros in a new image; what suits the filesystem unless told. */
    Capture zeros(Zeros handling) {
        zeros = Optional.of(handling);
        return this;
    }

    /**
     * The most threads that may read and write guest memory, the one that captures included; the others are started
     * with the preparation. One unless told.
     */
    public Capture threads(int most) {
        if (most < 1) {
            throw new IllegalArgumentException(most + " threads");
        }
        threads = most;
        return this;
    }

    /**
     * Sets which way the image goes to disk; the default is through the page cache. Any other way leaves the page cache
     * as it was, makes the pause wait for the device, and shares no blocks afterwards, for that would read images.
     */
    public Capture io(IoMode mode) {
        io = Objects.requireNonNull(mode);
        return this;
    }

    /** Returns what happens after publication: nothing that would read images into the page cache. */
    AfterBake sharing() {
        return io == IoMode.CACHED ? afterBake : afterBake.enabled(false);
    }

    /**
     * Compares the snapshot with the guest before the machine goes on, for development and tests: the pause lasts as
     * long as it takes to read all of both. A page that was written and neither seen nor marked, or that changes while
     * the machine should stand still, fails the capture and is named. Where pages were written unmarked, the next
     * capture compares everything.
     */
    public Capture checked() {
        checked = true;
        return this;
    }

    /**
     * Hears how far the copying of memory has come; by throwing it ends the capture, and the machine goes on. Where
     * memory is copied ahead, it hears of the first round.
     */
    public Capture progress(Progress listener) {
        progress = listener;
        return this;
    }

    /**
     * Copies memory while the machine runs, before the pause, which then copies only what the guest wrote meanwhile:
     * {@link #take} does it by itself, and after {@link #prepare} the caller does, with
     * {@link PreparedCapture#copyAhead}. It needs a tracker, and all that the tracker asks of its user: a write that it
     * is blind to, and that nobody marks, is lost if its page was copied before.
     */
    public Capture copyAhead(CopyAhead options) {
        copyAhead = Optional.of(options);
        return this;
    }

    /**
     * Does, while the machine runs, all that can be done before the pause: stages the snapshot, clones its base,
     * arms the tracker. What can be known to fail later fails now: an id that is taken, a tracker or base of another
     * layout, a chain too long.
     *
     * <p>The tracker is kept for this capture until that is published or closed. What is said to this object later is
     * for captures that are prepared later.
     *
     * @throws io.microsnap.dirty.CaptureOutstandingException if another capture has the tracker
     * @throws java.nio.file.FileAlreadyExistsException if the id is taken and not to be replaced
     */
    public PreparedCapture prepare() throws IOException {
        rehearse();
        return PreparedCapture.prepare(clone());
    }

    /**
     * Makes the first pause of this process as short as the next ones: links the system calls and compiles the loops
     * of a pause, on a small guest of its own in memory. Takes about half a second, once. The first {@link #prepare}
     * does it, unless a VM manager has called this earlier, from any thread.
     */
    public static void rehearse() {
        Rehearsal.oncePerProcess();
    }

    /**
     * Prepares, copies ahead where that was asked for, captures and publishes. Does not {@link #rehearse} for a machine
     * that is paused already.
     */
    public CaptureResult take(PausableMachine machine) throws IOException {
        if (!machine.isPausedAlready()) {
            rehearse();
        }
        Capture said = clone();
        try (PreparedCapture prepared = PreparedCapture.prepare(said)) {
            if (said.copyAhead.isPresent()) {
                prepared.copyAhead();
            }
            try (CapturedSnapshot captured = prepared.capture(machine)) {
                return captured.publish();
            }
        }
    }

    /** All that was said is immutable, or another's, so that the copy is one for good. */
    @Override
    protected Capture clone() {
        try {
            return (Capture) super.clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }
}
