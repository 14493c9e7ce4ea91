package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Answers questions about the chain of bases under a held snapshot. */
final class BaseChain {
    private BaseChain() {
    }

    /**
     * Returns the guest's memory, composed of the snapshot and the bases it requires; valid while the snapshot is held.
     */
    static ComposedImage compose(StoredSnapshot snapshot) throws IOException {
        GuestLayout layout = snapshot.layout();
        List<ComposedImage.Layer> layers = new ArrayList<>();
        StoredSnapshot held = snapshot;
        while (held.manifest().isDiff()) {
            layers.add(new ComposedImage.Layer(held.id().name(), held.image(), held.pageMap().orElseThrow()));
            held = held.base().orElseThrow();
            if (!held.layout().equals(layout)) {
                throw new DamagedException("snapshot " + snapshot + " has " + layout + ", but its base " + held
                        + " has " + held.layout());
            }
        }
        layers.add(new ComposedImage.Layer(held.id().name(), held.image(), null));
        return ComposedImage.of(layout, layers);
    }

    /** Returns how many diffs the chain has, this snapshot included. */
    static int diffs(StoredSnapshot snapshot) {
        int diffs = 0;
        for (Optional<StoredSnapshot> held = Optional.of(snapshot); held.isPresent() && !isComplete(held.get());
                held = held.get().base()) {
            diffs++;
        }
        return diffs;
    }

    /** Returns whether the chain contains this id. */
    static boolean needs(StoredSnapshot snapshot, SnapshotId id) {
        Optional<StoredSnapshot> held = Optional.of(snapshot);
        while (held.isPresent() && !held.get().id().equals(id)) {
            held = held.get().base();
        }
        return held.isPresent();
    }

    static boolean isComplete(StoredSnapshot snapshot) {
        return !snapshot.manifest().isDiff();
    }
}
