package io.microsnap.dirty.testing;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** A source whose guest is the test: it reports what the test says was written, and fails when told to. */
public class ScriptedSource implements DirtySource {
    private final SourceOwnership ownership = new SourceOwnership();
    private final List<String> calls = new ArrayList<>();
    private Throwable armFailure;
    private Throwable harvestFailure;
    private Throwable learnFailure;
    private Throwable closeFailure;
    private Runnable duringHarvest = () -> { };
    private DirtyBitmap learnedReported;
    private DirtyBitmap learnedChanged;

    private final GuestLayout layout;
    private final Set<WritePath> blindTo;
    private final DirtyBitmap written;
    private volatile boolean armed;
    private boolean closed;

    /** Watches nothing yet. */
    public ScriptedSource(GuestLayout layout, WritePath... blindTo) {
        this.layout = layout;
        this.blindTo = EnumSet.noneOf(WritePath.class);
        this.blindTo.addAll(List.of(blindTo));
        written = DirtyBitmap.of(layout);
    }

    /** The guest writes a range; it is seen if the source is armed. */
    public void guestWrites(long offset, long lengthBytes) {
        if (armed) {
            VarHandle.fullFence();
            written.mark(offset, lengthBytes);
        }
    }

    /** The calls of the contract so far, in order. */
    public List<String> calls() {
        return calls;
    }

    /** Makes the next {@code arm} fail. */
    public void failNextArm(Throwable failure) {
        armFailure = failure;
    }

    /** Makes the next {@code harvest} fail, after it has taken what there is. */
    public void failNextHarvest(Throwable failure) {
        harvestFailure = failure;
    }

    /** Makes the next {@code learn} fail. */
    public void failNextLearn(Throwable failure) {
        learnFailure = failure;
    }

    /** Makes {@code close} fail. */
    public void failNextClose(Throwable failure) {
        closeFailure = failure;
    }

    /** What happens in each {@code harvest}, before anything is taken. */
    public void duringHarvest(Runnable action) {
        duringHarvest = action;
    }

    /** What it was last told was reported, or null. */
    public DirtyBitmap learnedReported() {
        return learnedReported;
    }

    /** What it was last told had changed, or null. */
    public DirtyBitmap learnedChanged() {
        return learnedChanged;
    }

    @Override
    public String name() {
        return "script";
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public long blockBytes() {
        return layout.pageBytes();
    }

    @Override
    public SourceOwnership ownership() {
        return ownership;
    }

    @Override
    public Set<WritePath> blindTo() {
        return blindTo;
    }

    @Override
    public void arm() throws IOException {
        calls.add("arm");
        if (closed) {
            throw new IllegalStateException("the script is closed");
        }
        written.clear();
        Throwable failure = armFailure;
        armFailure = null;
        ScriptedSource.<IOException>fail(failure);
        armed = true;
    }

    @Override
    public void harvest(DirtyBitmap into) throws IOException {
        calls.add("harvest");
        if (!armed) {
            throw new IllegalStateException("the script is not armed");
        }
        into.requireLayout(layout);
        duringHarvest.run();
        written.drainInto(into);
        Throwable failure = harvestFailure;
        harvestFailure = null;
        ScriptedSource.<IOException>fail(failure);
    }

    @Override
    public void disarm() {
        calls.add("disarm");
        armed = false;
    }

    @Override
    public void learn(DirtyBitmap reported, DirtyBitmap changed) {
        learnedReported = reported.copy();
        learnedChanged = changed.copy();
        ScriptedSource.<RuntimeException>fail(learnFailure);
    }

    @Override
    public void close() {
        calls.add("close");
        closed = true;
        armed = false;
        ScriptedSource.<RuntimeException>fail(closeFailure);
    }

    /** Throws anything, declared or not, as languages without checked exceptions do. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void fail(Throwable failure) throws T {
        if (failure != null) {
            throw (T) failure;
        }
    }
}
