package io.microsnap.store.internal;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.store.WorkingSet;
import java.io.Closeable;
import java.io.IOException;
import java.time.Instant;
import java.util.Optional;

/** Reads a snapshot's working set as it is now, and remembers which file that was. */
final class LatestWorkingSet implements Closeable {
    private final Optional<Stat> file;
    private Optional<WorkingSetMap> map;

    private LatestWorkingSet(Optional<Stat> file, Optional<WorkingSetMap> map) {
        this.file = file;
        this.map = map;
    }

    /** Reads the set. Throws {@code DamagedException} if the file is not a working set of this publication. */
    static LatestWorkingSet of(StoredSnapshot held) throws IOException {
        Optional<Descriptor> opened = held.openHint(SnapshotFiles.WORKING_SET);
        if (opened.isEmpty()) {
            return new LatestWorkingSet(Optional.empty(), Optional.empty());
        }
        try (Descriptor hint = opened.get()) {
            return new LatestWorkingSet(Optional.of(hint.status()),
                    Optional.of(WorkingSetMap.open(hint, held.layout(), held.manifest().uuid())));
        }
    }

    /** Returns the set, which this object closes. */
    Optional<WorkingSetMap> map() {
        return map;
    }

    /** Returns the set, which the caller closes. */
    Optional<WorkingSetMap> take() {
        Optional<WorkingSetMap> taken = map;
        map = Optional.empty();
        return taken;
    }

    Optional<WorkingSet> description() {
        return map.map(set -> new WorkingSet(set.pages(), set.layout().pageBytes(), set.recordings(),
                Instant.ofEpochSecond(file.orElseThrow().modifiedSeconds(), file.orElseThrow().modifiedNanos())));
    }

    @Override
    public void close() throws IOException {
        if (map.isPresent()) {
            map.get().close();
        }
    }
}
