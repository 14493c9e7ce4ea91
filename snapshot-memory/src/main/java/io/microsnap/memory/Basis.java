package io.microsnap.memory;

import io.microsnap.core.SnapshotReference;
import io.microsnap.store.internal.StoredSnapshot;
import java.util.Optional;

/**
 * How a capture is stored, and on which base it builds.
 *
 * @param because why it is stored so, for a person
 * @param parent the snapshot that the tracker's changes are relative to
 * @param base the snapshot that the image was cloned from, is compared with or needs; empty for a full capture
 */
record Basis(CaptureKind kind, String because, Optional<SnapshotReference> parent, Optional<StoredSnapshot> base) {
}
