package io.microsnap.store;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import java.util.List;
import java.util.stream.Collectors;

/** A snapshot cannot be deleted or replaced, because others require it as their base. */
public final class SnapshotRequiredException extends SnapshotException {
    private static final long serialVersionUID = 1L;
    private static final int NAMED = 10;

    private final transient List<SnapshotId> dependents;

    /** The message names the first ten dependents and says what to do with them. */
    public SnapshotRequiredException(SnapshotId id, List<SnapshotId> dependents) {
        super(id + " is the base of " + dependents.stream().limit(NAMED).map(SnapshotId::name)
                .collect(Collectors.joining(", "))
                + (dependents.size() > NAMED ? " and " + (dependents.size() - NAMED) + " more" : "")
                + ", which cannot be restored without it; delete those first, or make them complete (compact)");
        this.dependents = List.copyOf(dependents);
    }

    /** Returns the snapshots that require it. */
    public List<SnapshotId> dependents() {
        return dependents;
    }
}
