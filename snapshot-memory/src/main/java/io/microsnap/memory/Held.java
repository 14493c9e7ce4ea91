package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotKind;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** What is asked of held snapshots here and there. */
final class Held {
    private Held() {
    }

    /** The guest as the snapshot and the bases it requires hold it; valid while the snapshot is held. */
    static ComposedImage compose(HeldSnapshot snapshot) throws IOException {
        GuestLayout layout = snapshot.layout();
        List<ComposedImage.Layer> layers = new ArrayList<>();
        HeldSnapshot held = snapshot;
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

    static boolean isComplete(HeldSnapshot snapshot) {
        return snapshot.manifest().kind() == SnapshotKind.FULL;
    }
}
