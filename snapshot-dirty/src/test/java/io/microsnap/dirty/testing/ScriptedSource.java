package io.microsnap.dirty.testing;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** A source whose guest is the test: it reports what the test says was written, and fails when told to. */
public class ScriptedSource implements DirtySource {
    private final List<String> calls = new ArrayList<>();
    private Exception armFailure;
    private Exception harvestFailure;
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
    public void failNextArm(Exception failure) {
        armFailure = failure;
    }

    /** Makes the next {@code harvest} fail, after it has taken what there is. */
    public void failNextHarvest(Exception failure) {
        harvestFailure = failure;
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
        Exception failure = armFailure;
        armFailure = null;
        fail(failure);
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
        Exception failure = harvestFailure;
        harvestFailure = null;
        fail(failure);
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
    }

    @Override
    public void close() {
        calls.add("close");
        closed = true;
        armed = false;
    }

    private static void fail(Exception failure) throws IOException {
        if (failure instanceof IOException io) {
            throw io;
        }
        if (failure instanceof RuntimeException runtime) {
            throw runtime;
        }
    }
}
