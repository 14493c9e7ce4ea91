package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** A source whose guest is the test: it reports what the test says was written, and fails when told to. */
final class ScriptedSource implements DirtySource {
    final List<String> calls = new ArrayList<>();
    Exception nextArmFailure;
    Exception nextHarvestFailure;
    Runnable duringHarvest = () -> { };
    DirtyBitmap learnedReported;
    DirtyBitmap learnedChanged;

    private final GuestLayout layout;
    private final Set<WritePath> blindTo;
    private final DirtyBitmap written;
    private boolean armed;

    ScriptedSource(GuestLayout layout, WritePath... blindTo) {
        this.layout = layout;
        this.blindTo = EnumSet.noneOf(WritePath.class);
        this.blindTo.addAll(List.of(blindTo));
        written = DirtyBitmap.of(layout);
    }

    void guestWrites(long offset, long lengthBytes) {
        if (armed) {
            written.mark(offset, lengthBytes);
        }
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
        written.clear();
        Exception failure = nextArmFailure;
        nextArmFailure = null;
        fail(failure);
        armed = true;
    }

    @Override
    public void harvest(DirtyBitmap into) throws IOException {
        calls.add("harvest");
        duringHarvest.run();
        written.drainInto(into);
        Exception failure = nextHarvestFailure;
        nextHarvestFailure = null;
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
