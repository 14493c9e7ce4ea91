package io.microsnap.store;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.internal.StoredManifest;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.UUID;

/** Describes one published snapshot: what its capture said about it, and what the store knows. It does not change. */
public sealed interface Manifest permits StoredManifest {
    /** Returns its name, in the letter case in which it was given. */
    SnapshotId id();

    /** Returns the random id that was made for this publication. */
    UUID uuid();

    /** Returns when it was published. */
    Instant created();

    /** Names this publication. */
    SnapshotReference reference();

    /** Returns the root of the page index. */
    int indexRoot();

    /** Returns the regions and the page size of the guest. */
    GuestLayout layout();

    /** Returns the length of the image in MiB, rounded up. */
    long memoryMib();

    /**
     * Returns whether the image holds only the pages that its page map names, and requires its base for the others.
     * Otherwise it is full: it holds every page, and may share blocks with a base, which may be gone.
     */
    boolean isDiff();

    /** Returns the snapshot that it was captured relative to. */
    Optional<SnapshotReference> parent();

    /** Returns the snapshot whose image its own was cloned from (full) or needs (diff). */
    Optional<SnapshotReference> base();

    /** Returns the base if the image requires it, as a diff does. */
    Optional<SnapshotReference> requiredBase();

    /** Returns the guest image that the machine was baked from. */
    Optional<String> imageName();

    /** Returns the version of the software that baked it. */
    Optional<String> bakerVersion();

    /** Returns the keys and values by which users find it. */
    SortedMap<String, String> labels();

    /** Returns the names of the attachments. */
    List<String> attachments();

    /** Returns whether the machine's state was saved beside its memory. */
    boolean hasMachineState();

    /**
     * Returns the required features that this version lacks. If there are any, the snapshot may be listed and
     * inspected, but not restored.
     */
    SortedSet<String> unknownFeatures();
}
