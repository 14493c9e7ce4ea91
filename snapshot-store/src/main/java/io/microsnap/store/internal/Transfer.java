package io.microsnap.store.internal;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotReference;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Copies snapshots, bases first, from one store into another. */
final class Transfer {
    private final DirectoryStore to;
    private final PageVerification verification;
    private final Progress progress;
    private final List<SnapshotReference> copied = new ArrayList<>();
    private long doneBytes;
    private long totalBytes;

    Transfer(DirectoryStore to, PageVerification verification, Progress progress) {
        this.to = to;
        this.verification = verification;
        this.progress = progress;
    }

    List<SnapshotReference> copy(StoredSnapshot held) throws IOException {
        List<StoredSnapshot> missing = new ArrayList<>();
        for (Optional<StoredSnapshot> at = Optional.of(held); at.isPresent(); at = at.get().base()) {
            if (!isThere(at.get())) {
                missing.addFirst(at.get());
            }
        }
        for (StoredSnapshot snapshot : missing) {
            totalBytes += snapshot.manifest().files().stream().mapToLong(SnapshotFile::lengthBytes).sum();
            totalBytes += checkedBytes(snapshot);
        }
        for (StoredSnapshot snapshot : missing) {
            copyOne(snapshot);
        }
        return copied;
    }

    private long checkedBytes(StoredSnapshot held) {
        return verification == PageVerification.NONE ? 0 : held.layout().lengthBytes();
    }

    private boolean isThere(StoredSnapshot held) throws IOException {
        if (to.directory().root().statusAt(held.id().key()).isEmpty()) {
            return false;
        }
        SnapshotReference found = to.inspect(held.id()).reference();
        if (!found.equals(held.reference())) {
            throw new FileAlreadyExistsException(to + "/" + held.id().key(), null, "it is " + found + ", and the"
                    + " snapshot to copy is " + held.reference() + "; delete or rename one of them");
        }
        return true;
    }

    private void copyOne(StoredSnapshot held) throws IOException {
        try (StagedSnapshot staged = to.stage(held.id())) {
            for (SnapshotFile file : held.manifest().files()) {
                long before = doneBytes;
                staged.copy(file.name(), held.open(file.name()),
                        (done, total) -> progress.advanced(before + done, totalBytes));
                doneBytes += file.lengthBytes();
            }
            if (verification == PageVerification.EVERY_PAGE) {
                long before = doneBytes;
                ImageCheck.require(held, staged.file(SnapshotFiles.MEMORY),
                        done -> progress.advanced(before + done, totalBytes));
                doneBytes += checkedBytes(held);
            }
            staged.takeWorkingSetOf(held);
            staged.publishAsMadeElsewhere(held.manifest());
            copied.add(held.reference());
        }
    }
}
