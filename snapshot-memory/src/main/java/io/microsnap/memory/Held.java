package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.store.SnapshotKind;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What is asked of held snapshots here and there. */
final class Held {
    private Held() {
    }

    /** The guest as the snapshot and the bases it requires hold it; valid while the snapshot is held. */
    static ComposedImage compose(StoredSnapshot snapshot) throws IOException {
        GuestLayout layout = snapshot.layout();
        List<ComposedImage.Layer> layers = new ArrayList<>();
        StoredSnapshot held = snapshot;
        while (held.manifest().kind() == SnapshotKind.DIFF) {
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

    /** How many diffs build on one another in it, itself counted. */
    static int diffs(StoredSnapshot snapshot) {
        int diffs = 0;
        for (Optional<StoredSnapshot> held = Optional.of(snapshot); held.isPresent() && !isComplete(held.get());
                held = held.get().base()) {
            diffs++;
        }
        return diffs;
    }

    /** Whether it is this snapshot, or requires it. */
    static boolean needs(StoredSnapshot snapshot, SnapshotId id) {
        Optional<StoredSnapshot> held = Optional.of(snapshot);
        while (held.isPresent() && !held.get().id().equals(id)) {
            held = held.get().base();
        }
        return held.isPresent();
    }

    static boolean isComplete(StoredSnapshot snapshot) {
        return snapshot.manifest().kind() == SnapshotKind.FULL;
    }
}
