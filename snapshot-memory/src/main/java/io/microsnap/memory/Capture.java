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
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
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
 * Describes a capture of a machine before the pause. Set what to capture, then {@link #take} it. If the steps should
 * not follow each other at once, call {@link #prepare}, {@link PreparedCapture#capture} and {@link
 * CapturedSnapshot#publish} instead.
 *
 * <p>While the machine is paused nothing is written beyond the page cache, unless {@link #io} says otherwise. A capture
 * that is not published, for whatever reason, leaves nothing in the store and gives the changes back to the tracker.
 */
public final class Capture implements Cloneable {
    final DirectoryStore store;
    final SnapshotId id;
    final PageReader reader;
    Optional<DirtyTracker> tracker = Optional.empty();
    Optional<SnapshotId> base = Optional.empty();
    CaptureKind kind = CaptureKind.AUTOMATIC;
    /** The caller's description of the snapshot; the capture adds kind, parent and base. */
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

    /** Begins a capture of the reader's memory, into a store and under this id. */
    public static Capture of(SnapshotStore store, SnapshotId id, PageReader reader) {
        return new Capture(DirectoryStore.of(store), id, reader);
    }

    /** Takes the changes from this tracker, and commits them there once the snapshot is durable. */
    public Capture tracker(DirtyTracker knowsWhatChanged) {
        tracker = Optional.of(knowsWhatChanged);
        return this;
    }

    /**
     * Sets the snapshot to build on. The default is the one that the tracker's epoch is relative to. Without a tracker,
     * or if the tracker does not know what changed, the capture compares every page with the base.
     */
    public Capture base(SnapshotId snapshot) {
        base = Optional.of(snapshot);
        return this;
    }

    /** Sets how to store the snapshot; the default is {@link CaptureKind#AUTOMATIC}. */
    public Capture kind(CaptureKind wanted) {
        kind = Objects.requireNonNull(wanted);
        return this;
    }

    /** Sets the guest image that the machine was baked from. Throws at once if a manifest cannot hold it. */
    public Capture imageName(String name) {
        described = described.withImage(name);
        return this;
    }

    /** Sets the version of the software that bakes. Throws at once if a manifest cannot hold it. */
    public Capture bakerVersion(String version) {
        described = described.withBakedByVersion(version);
        return this;
    }

    /** Adds a label, or replaces its value. Throws at once if a manifest cannot hold it. */
    public Capture label(String key, String value) {
        described = described.withLabel(key, value);
        return this;
    }

    /**
     * Stores a file of the same moment, such as a disk overlay: it is cloned during the pause, or copied where cloning
     * is impossible. Names that {@link SnapshotFiles#attachment} refuses, and two that differ in case alone, are
     * refused at once.
     */
    public Capture attach(String name, Path file) {
        SnapshotFiles.attachment(name);
        if (attachments.keySet().stream().anyMatch(name::equalsIgnoreCase)) {
            throw new IllegalArgumentException("two attachments are named " + name + ", ignoring case");
        }
        Map<String, Path> more = new LinkedHashMap<>(attachments);
        more.put(name, file);
        attachments = Collections.unmodifiableMap(more);
        return this;
    }

    /** Sets what to do if the id is taken; the default is to refuse. */
    public Capture ifExists(IfExists decision) {
        ifExists = decision;
        return this;
    }

    /** Sets the limits up to which {@link CaptureKind#AUTOMATIC} clones and makes diffs. */
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

    /** Sets how a new image stores zeros; the default suits the filesystem. */
    Capture zeros(Zeros handling) {
        zeros = Optional.of(handling);
        return this;
    }

    /**
     * Sets the most threads that may read and write guest memory, the capturing thread included; the preparation starts
     * the others. The default is one.
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

    /** Returns the sharing after publication; none if it would read images into the page cache. */
    AfterBake sharing() {
        return io == IoMode.CACHED ? afterBake : afterBake.enabled(false);
    }

    /**
     * Compares the snapshot with the guest before the machine resumes, for development and tests: the pause lasts as
     * long as it takes to read all of both. A page that was written but neither seen nor marked, or that changes during
     * the pause, fails the capture with a message that names the page. After unmarked writes the next capture compares
     * everything.
     */
    public Capture checked() {
        checked = true;
        return this;
    }

    /**
     * Sets the listener for the progress of copying memory. If it throws, the capture ends and the machine resumes. If
     * memory is copied ahead, it receives the progress of the first round.
     */
    public Capture progress(Progress listener) {
        progress = listener;
        return this;
    }

    /**
     * Copies memory while the machine runs, before the pause, which then copies only what the guest wrote meanwhile:
     * {@link #take} does it by itself; after {@link #prepare} the caller calls {@link PreparedCapture#copyAhead}. It
     * needs a tracker, and a user who keeps the tracker's rules: an unmarked write that the tracker is blind to is lost
     * if its page was copied before.
     */
    public Capture copyAhead(CopyAhead options) {
        copyAhead = Optional.of(options);
        return this;
    }

    /**
     * Does everything that is possible before the pause, while the machine runs: stages the snapshot, clones its base,
     * arms the tracker. Failures that can be foreseen are thrown now: an id that is taken, a tracker or base of another
     * layout, too long a chain.
     *
     * <p>The tracker is reserved for this capture until it is published or closed. Later settings of this object apply
     * to captures that are prepared later.
     *
     * @throws io.microsnap.core.BusyException if another capture has the tracker
     * @throws java.nio.file.FileAlreadyExistsException if the id is taken and must not be replaced
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
     * Prepares, copies ahead if requested, captures and publishes. Does not {@link #rehearse} for a machine that is
     * paused already.
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

    /** Returns an independent copy: every setting is immutable, or belongs to another object. */
    @Override
    protected Capture clone() {
        try {
            return (Capture) super.clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }
}
