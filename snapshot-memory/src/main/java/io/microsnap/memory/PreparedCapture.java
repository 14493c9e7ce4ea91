package io.microsnap.memory;

import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.memory.internal.image.Pace;
import io.microsnap.memory.internal.image.Zeros;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A capture that is ready for the pause. Closing it without capturing undoes the preparation. The machine may run
 * meanwhile, for minutes if need be.
 */
public final class PreparedCapture implements AutoCloseable {
    /** The entries of this many pages are loaded from index and map before the pause; others are loaded when needed. */
    private static final long MOST_PAGES_LOADED = 16L << 20;

    private final Capture plan;
    private final GuestLayout layout;
    private final Closing closing = new Closing();
    private Optional<StoredSnapshot> base = Optional.empty();
    private Optional<SnapshotReference> parent = Optional.empty();
    private CaptureKind kind;
    private String because;
    private StagedSnapshot snapshot;
    private StagedCapture staged;
    private Workers workers;
    private Duration prepareTime;
    /** Reserves the tracker from the preparation on. */
    private Optional<Epoch> epoch = Optional.empty();
    private MemoryCopy copy;
    private Optional<CopiedAhead> copiedAhead = Optional.empty();
    private final AtomicReference<State> state = new AtomicReference<>(State.READY);

    private enum State { READY, COPYING, ENDED }

    private PreparedCapture(Capture plan) {
        this.plan = plan;
        layout = plan.reader.layout();
    }

    static PreparedCapture prepare(Capture plan) throws IOException {
        long start = System.nanoTime();
        PreparedCapture prepared = new PreparedCapture(plan);
        try {
            prepared.requireTrackerToCopyAhead();
            prepared.claimTracker();
            prepared.requireFreeId();
            plan.reader.requireMapped();
            prepared.findBase();
            prepared.workers = prepared.closing.add(Workers.started("capture",
                    (plan.io == IoMode.DIRECT ? Math.max(2, plan.threads) : plan.threads) - 1));
            prepared.stage();
            if (plan.tracker.isPresent()) {
                plan.tracker.get().arm();
            }
            prepared.copy = new MemoryCopy(plan, prepared.epoch, prepared.base, prepared.staged);
        } catch (Throwable failure) {
            prepared.closing.closeAfter(failure);
            throw failure;
        }
        prepared.prepareTime = Duration.ofNanos(System.nanoTime() - start);
        return prepared;
    }

    /** Returns how the snapshot will be stored. */
    public CaptureKind kind() {
        return kind;
    }

    /**
     * Copies memory while the machine runs, as {@link Capture#copyAhead} says, so that the pause has less to copy. The
     * caller may call this more than once: each call copies what the guest wrote since the last. If copying ahead was
     * requested but this is not called, the pause copies everything.
     *
     * <p>If it fails or is abandoned, the store and the tracker are as they were, and the capture has ended. It fails
     * if the tracker lost track of the guest's writes; the next capture then examines every page. Closing the capture
     * from another thread abandons it after the present round.
     *
     * @throws IllegalStateException if it was not requested, or the capture has ended
     * @throws CancelledException if the listener or the progress stopped it, or the capture was closed meanwhile
     */
    public CopiedAhead copyAhead() throws IOException {
        CopyAhead options = plan.copyAhead.orElseThrow(() -> new IllegalStateException(
                plan.id + " was not prepared to be copied ahead of the pause: call Capture.copyAhead before prepare"));
        begin(State.COPYING);
        try {
            epoch.ifPresent(Epoch::requireOpen);
            CopiedAhead copied = new CopyRounds(options, staged, copy).run(this::requireWanted);
            copiedAhead = Optional.of(copiedAhead.map(before -> before.and(copied)).orElse(copied));
            if (!state.compareAndSet(State.COPYING, State.READY)) {
                requireWanted();
            }
            return copied;
        } catch (Throwable failure) {
            state.set(State.ENDED);
            closing.closeAfter(failure);
            throw failure;
        }
    }

    private void begin(State next) {
        if (!state.compareAndSet(State.READY, next)) {
            throw new IllegalStateException(plan.id + " is captured already, being copied, or closed");
        }
    }

    private void requireWanted() throws CancelledException {
        if (state.get() != State.COPYING) {
            throw new CancelledException(plan.id + " was closed while its memory was copied ahead of the pause");
        }
    }

    /**
     * Pauses the machine, copies its memory and state, and resumes it. If the machine still runs, helper threads are
     * woken before the pause. Whatever fails, the machine is resumed, and the store and the tracker are as they were.
     *
     * <p>Meanwhile the calling thread holds the machine's monitor, so that another capture of it waits. An abandoned
     * capture throws before it touches the machine.
     */
    public CapturedSnapshot capture(PausableMachine machine) throws IOException {
        begin(State.ENDED);
        CaptureEvent event = new CaptureEvent();
        try {
            PauseOutcome outcome;
            epoch.ifPresent(Epoch::requireOpen);
            synchronized (machine) {
                event.begin();
                if (!machine.isPausedAlready()) {
                    // A machine that is paused already must not wait for the threads to wake.
                    workers.rouse();
                }
                outcome = paused(machine);
            }
            closing.closeNow(workers);
            return new CapturedSnapshot(plan, staged, outcome, event, closing);
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
    }

    /** Undoes the preparation, unless the capture was taken. */
    @Override
    public void close() throws IOException {
        // If a thread is copying ahead, that thread undoes the preparation.
        if (state.getAndSet(State.ENDED) == State.READY) {
            closing.close();
        }
    }

    private void requireTrackerToCopyAhead() throws SnapshotException {
        if (plan.copyAhead.isPresent() && plan.tracker.isEmpty()) {
            throw new SnapshotException(plan.id + " cannot be copied ahead of the pause: only a dirty tracker can"
                    + " tell what the guest writes meanwhile; give the capture a tracker, or leave out copyAhead");
        }
    }

    /** Done first, so that a second capture of the guest fails here. */
    private void claimTracker() throws IOException {
        if (plan.tracker.isEmpty()) {
            return;
        }
        DirtyTracker tracker = plan.tracker.get();
        if (!tracker.layout().equals(layout)) {
            throw new IllegalArgumentException(plan.id + " cannot be captured: the reader reads " + layout
                    + ", the tracker watches " + tracker.layout());
        }
        epoch = Optional.of(closing.add(tracker.claim()));
    }

    private void requireFreeId() throws IOException {
        if (plan.ifExists == IfExists.REFUSE && plan.store.contains(plan.id)) {
            throw new FileAlreadyExistsException(plan.id.name(), null,
                    "the store has a snapshot of this id already; delete it, replace it, or use another id");
        }
    }

    private void findBase() throws IOException {
        Optional<SnapshotReference> tracked = plan.tracker.flatMap(DirtyTracker::parent);
        parent = tracked;
        kind = plan.kind;
        if (kind == CaptureKind.FULL) {
            because = "a full capture was requested";
            return;
        }
        if (kind == CaptureKind.DIFF) {
            because = "a diff was requested";
        }
        if (plan.base.isEmpty() && tracked.isEmpty()) {
            if (kind != CaptureKind.AUTOMATIC) {
                throw new SnapshotException(plan.id + " cannot be captured " + kind
                        + ": there is no base; name one, or capture in full first");
            }
            kind = CaptureKind.FULL;
            because = "there is no snapshot to build on";
            return;
        }
        if (plan.base.isPresent()) {
            hold(plan.store.hold(plan.base.get()));
            requireTracked(tracked);
        } else {
            holdTracked(tracked.get());
        }
        if (base.isPresent()) {
            requireLayout(base.get());
            requireNotRequired(base.get());
            parent = Optional.of(base.get().reference());
        }
    }

    private void hold(StoredSnapshot held) {
        closing.add(held);
        base = Optional.of(held);
    }

    private void requireTracked(Optional<SnapshotReference> tracked) throws SnapshotException {
        SnapshotReference held = base.orElseThrow().reference();
        boolean known = plan.tracker.isPresent() && plan.tracker.get().unknownBecause().isEmpty();
        if (known && !tracked.equals(Optional.of(held))) {
            throw new SnapshotException(plan.id + " cannot be captured against " + held
                    + ": the tracker knows what changed since " + tracked.map(Object::toString).orElse("nothing")
                    + "; capture against that, or invalidate the tracker to have everything compared");
        }
    }

    /** Holds the tracker's own base. If it is gone, the capture becomes full, unless another kind was requested. */
    private void holdTracked(SnapshotReference tracked) throws IOException {
        try {
            StoredSnapshot held = plan.store.hold(tracked.id());
            hold(held);
            if (!held.reference().equals(tracked)) {
                throw new SnapshotException("the store has " + held.reference() + " instead of " + tracked);
            }
        } catch (IOException gone) {
            if (kind != CaptureKind.AUTOMATIC) {
                throw new SnapshotException(plan.id + " cannot be captured " + kind + ": its base " + tracked
                        + " cannot be used; capture in full", gone);
            }
            inFull();
            because = "the base " + tracked + " cannot be used: " + gone.getMessage();
        }
    }

    private void requireLayout(StoredSnapshot held) throws SnapshotException {
        if (!held.layout().equals(layout)) {
            throw new SnapshotException(plan.id + " cannot be captured against " + held.reference()
                    + ": the guest has " + layout + ", the base " + held.layout() + "; capture in full");
        }
    }

    /**
     * Throws if the snapshot to replace is one that the base requires: known now, this must not fail only after the
     * pause.
     */
    private void requireNotRequired(StoredSnapshot held) throws SnapshotException {
        if (plan.ifExists != IfExists.REFUSE && held.base().isPresent() && BaseChain.needs(held.base().get(),
                plan.id)) {
            throw new SnapshotException(plan.id + " cannot be replaced: the base " + held.id()
                    + " requires it; capture under another id");
        }
    }

    private void stage() throws IOException {
        snapshot = closing.add(plan.store.stage(plan.id));
        takeWorkingSet();
        Descriptor image = stagedImage();
        Descriptor indexFile = snapshot.create(SnapshotFiles.PAGE_INDEX);
        MemoryWriter.Builder builder = MemoryWriter.into(image, layout).workers(workers).progress(plan.progress)
                .zeros(plan.zeros.orElse(Zeros.suiting(image)));
        if (plan.io != IoMode.CACHED) {
            builder.through(closing.add(StorageFile.over(image, StorageOptions.WRITE.with(plan.io))));
        }
        PageIndex index;
        Optional<PageMap> map = Optional.empty();
        if (base.isEmpty()) {
            index = closing.add(PageIndex.create(indexFile, layout));
        } else {
            index = closing.add(PageIndex.createFrom(base.get().pageIndex(), indexFile));
            long pagesLoaded = Math.min(layout.pageCount(), MOST_PAGES_LOADED);
            index.load(0, pagesLoaded);
            index.populate(0, pagesLoaded);
            PageMap recorded = closing.add(PageMap.create(snapshot.create(SnapshotFiles.PAGE_MAP), layout));
            recorded.populate(0, pagesLoaded);
            builder.map(recorded);
            map = Optional.of(recorded);
        }
        builder.index(index);
        MemoryWriter writer =
                kind == CaptureKind.ONTO_BASE ? builder.startingAsBase() : builder.startingAsZeros();
        staged = new StagedCapture(snapshot, image, index, map, writer);
    }

    /**
     * Copies the working set: guests restored from the new snapshot touch about the same pages as those restored from
     * the one before.
     */
    private void takeWorkingSet() {
        if (base.isPresent()) {
            snapshot.takeWorkingSetOf(base.get());
        } else {
            parent.ifPresent(snapshot::takeWorkingSetOf);
        }
    }

    /** Returns a clone of the base, or an image of zeros. */
    private Descriptor stagedImage() throws IOException {
        if (base.isPresent() && kind != CaptureKind.DIFF) {
            cloneBase(base.get());
        } else if (kind == CaptureKind.DIFF && wouldReplaceItsBase()) {
            throw new SnapshotException(plan.id + " cannot be captured " + kind + ": it would replace"
                    + " " + plan.id + ", which it would need; capture under another id, or in full");
        }
        if (kind == CaptureKind.DIFF) {
            requireRoomInChain(base.orElseThrow());
        }
        if (kind == CaptureKind.ONTO_BASE) {
            return snapshot.file(SnapshotFiles.MEMORY);
        }
        Descriptor image = snapshot.create(SnapshotFiles.MEMORY);
        image.truncate(layout.lengthBytes());
        return image;
    }

    private void requireRoomInChain(StoredSnapshot held) throws SnapshotException {
        int length = held.chainLength() + 1;
        if (length > SnapshotStore.LONGEST_CHAIN) {
            throw new SnapshotException(plan.id + " cannot be captured as a diff against " + held.reference()
                    + ": it would need " + length + " snapshots to be restored, and " + SnapshotStore.LONGEST_CHAIN
                    + " are allowed; capture in full");
        }
    }

    private void cloneBase(StoredSnapshot held) throws IOException {
        if (!BaseChain.isComplete(held)) {
            notOntoBase("the base " + held.id() + " is a diff, and only a complete image can be cloned");
            return;
        }
        if (kind == CaptureKind.AUTOMATIC && liesInTooManyExtents(held)) {
            return;
        }
        switch (snapshot.clone(SnapshotFiles.MEMORY, held.image())) {
            case ReflinkOutcome.Cloned() -> {
                kind = CaptureKind.ONTO_BASE;
                because = "the base " + held.id() + " was cloned";
            }
            case ReflinkOutcome.Unsupported unsupported -> notOntoBase(unsupported.reason());
            case ReflinkOutcome.SourceVanished() -> throw new SnapshotException("the image of " + held.reference()
                    + " vanished while it was being cloned");
        }
    }

    private void notOntoBase(String reason) throws IOException {
        if (kind == CaptureKind.ONTO_BASE) {
            throw new SnapshotException(plan.id + " cannot be captured onto its base: " + reason
                    + "; capture a diff, or in full");
        }
        because = reason;
        int diffs = BaseChain.diffs(base.orElseThrow()) + 1;
        if (wouldReplaceItsBase()) {
            because += "; a diff would replace " + plan.id + ", which it needs";
        } else if (diffs > plan.fragmentation.mostDiffs()) {
            because += "; this would be diff " + diffs + " of a chain, and the limit is "
                    + plan.fragmentation.mostDiffs();
        } else {
            kind = CaptureKind.DIFF;
            return;
        }
        inFull();
    }

    /** Releases the base: the capture does not read it, and the new snapshot may have to replace it. */
    private void inFull() throws IOException {
        kind = CaptureKind.FULL;
        if (base.isPresent()) {
            closing.closeNow(base.get());
            base = Optional.empty();
        }
    }

    private boolean wouldReplaceItsBase() {
        return plan.ifExists != IfExists.REFUSE && base.orElseThrow().id().equals(plan.id);
    }

    /**
     * Returns whether cloning would take too long, as it takes time for each extent; false where the filesystem does
     * not count extents.
     */
    private boolean liesInTooManyExtents(StoredSnapshot held) throws IOException {
        long most = plan.fragmentation.mostExtentsToClone(layout.lengthBytes());
        OptionalLong extents = Extents.count(held.image(), most);
        if (extents.isEmpty() || extents.getAsLong() <= most) {
            return false;
        }
        notOntoBase("the base " + held.id() + " lies in more than " + most + " extents, the limit for cloning");
        return true;
    }

    private PauseOutcome paused(PausableMachine machine) throws IOException {
        long start = System.nanoTime();
        PauseOutcome outcome;
        try {
            machine.pause();
            outcome = read(machine);
        } catch (Throwable failure) {
            try {
                machine.resume();
            } catch (Throwable resuming) {
                failure.addSuppressed(resuming);
            }
            throw failure;
        }
        machine.resume();
        return outcome.paused(Duration.ofNanos(System.nanoTime() - start));
    }

    private PauseOutcome read(PausableMachine machine) throws IOException {
        long start = System.nanoTime();
        List<MachineStateSection> sections = List.copyOf(machine.saveState());
        MachineStateFile.check(sections);
        long saved = System.nanoTime();
        copy.harvest();
        long harvested = System.nanoTime();
        MemoryWritten written = copy.write(Pace.unlimited());
        because += copy.remark();
        if (copy.pagesDamagedInBase() > 0) {
            because += "; " + copy.pagesDamagedInBase()
                    + " of its pages are damaged, so this snapshot holds them itself: "
                    + "verify " + base.orElseThrow().reference();
        }
        long wrote = System.nanoTime();
        if (plan.checked) {
            new CaptureCheck(plan, composed(), staged).require(copy.named());
        }
        long checked = System.nanoTime();
        for (Map.Entry<String, Path> attachment : plan.attachments.entrySet()) {
            snapshot.attach(attachment.getKey(), attachment.getValue(), Progress.NONE);
        }
        long attached = System.nanoTime();
        CaptureResult.Times times = new CaptureResult.Times(prepareTime, Duration.ZERO,
                Duration.ofNanos(saved - start), Duration.ofNanos(harvested - saved),
                Duration.ofNanos(wrote - harvested), Duration.ofNanos(attached - checked), Duration.ZERO);
        Basis basis = new Basis(kind, because, parent, base);
        return new PauseOutcome(basis, sections, epoch, written, copiedAhead, times);
    }

    /** Returns the written image, composed with the base if it needs one. */
    private ComposedImage composed() throws IOException {
        List<ComposedImage.Layer> layers = new ArrayList<>();
        layers.add(new ComposedImage.Layer(
                plan.id.name(), staged.image(), kind == CaptureKind.DIFF ? staged.map().orElseThrow() : null));
        if (kind == CaptureKind.DIFF) {
            layers.addAll(BaseChain.compose(base.orElseThrow()).layers());
        }
        return ComposedImage.of(layout, layers);
    }
}
