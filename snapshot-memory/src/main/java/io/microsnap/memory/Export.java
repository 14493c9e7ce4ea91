package io.microsnap.memory;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.IfExists;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.Composition;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.IfTaken;
import io.microsnap.store.Manifest;
import io.microsnap.store.PageIndex;
import io.microsnap.store.SnapshotDescription;
import io.microsnap.store.SnapshotFile;
import io.microsnap.store.SnapshotFiles;
import io.microsnap.store.SnapshotKind;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StagedSnapshot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Takes memory out of a store, or out of a chain of diffs: as a plain file that any VMM reads, or as a snapshot that
 * needs no base. Blocks are shared where the filesystem can, and holes stay holes.
 */
public final class Export {
    private Export() {
    }

    /** The guest's memory as one file, durable, whole or not at all. Says whether it shares the store's blocks. */
    public static boolean toFile(HeldSnapshot snapshot, Posix posix, Path file, IfExists ifExists, Progress progress)
            throws IOException {
        ComposedImage composed = Held.compose(snapshot);
        Descriptor last = composed.layers().getLast().image();
        try (StagedFile staged = StagedFile.create(posix, file)) {
            boolean cloned = new Reflink().cloneInto(last, staged).isCloned();
            if (cloned) {
                Composition.intoCloneOfBase(composed, staged.descriptor(), progress);
            } else {
                Composition.intoEmpty(composed, staged.descriptor(), 1, progress);
            }
            staged.commit(Durability.FULL, ifExists);
            return cloned;
        }
    }

    /**
     * Publishes a snapshot of the same machine at the same moment that needs no base: with its state, attachments,
     * labels and parent.
     */
    public static Manifest flatten(SnapshotStore store, SnapshotId id, SnapshotId flat, IfTaken ifTaken,
            Progress progress) throws IOException {
        try (HeldSnapshot held = store.hold(id); StagedSnapshot staged = store.stage(flat)) {
            ComposedImage composed = Held.compose(held);
            Descriptor last = composed.layers().getLast().image();
            if (staged.clone(SnapshotFiles.MEMORY, last).isCloned()) {
                Composition.intoCloneOfBase(composed, staged.file(SnapshotFiles.MEMORY), progress);
            } else {
                Composition.intoEmpty(composed, staged.create(SnapshotFiles.MEMORY), 1, progress);
            }
            // The index is of the composed guest already.
            try (PageIndex index = PageIndex.createFrom(held.pageIndex(), staged.create(SnapshotFiles.PAGE_INDEX))) {
                index.finish();
            }
            for (SnapshotFile file : held.manifest().files()) {
                boolean memory = file.name().equals(SnapshotFiles.MEMORY)
                        || file.name().equals(SnapshotFiles.PAGE_INDEX) || file.name().equals(SnapshotFiles.PAGE_MAP);
                if (!memory) {
                    staged.copy(file.name(), held.open(file.name()), Progress.NONE);
                }
            }
            SnapshotDescription description = held.manifest().description();
            return staged.publish(new SnapshotDescription(SnapshotKind.FULL, description.layout(),
                    description.parent(), Optional.empty(), description.image(), description.bakedByVersion(),
                    description.labels(), description.requires()), ifTaken);
        }
    }
}
