package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StagedReplacement;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;

/** Makes new files in the store's staging area. */
record StoreWorkplace(DirectoryStore store, StoredSnapshot target, boolean isTargetInUse) implements Workplace {
    @Override
    public void withScratchFile(Use use) throws IOException {
        // Staged but never committed, so that it disappears with this process.
        try (StagedReplacement scratch = store.stageImage(target, target.image())) {
            scratch.descriptor().truncate(0);
            use.accept(scratch.descriptor());
        }
    }

    @Override
    public Successor clone(Descriptor canonical) throws IOException {
        StagedReplacement staged = store.stageImage(target, canonical);
        try {
            if (staged.descriptor().sizeBytes() == 0) {
                throw new NotDeduplicatedException(Reason.UNSUPPORTED, canonical
                        + " cannot be cloned on its filesystem");
            }
            return new Staged(staged, target.image().status());
        } catch (Throwable failure) {
            try (staged) {
                throw failure;
            }
        }
    }

    private record Staged(StagedReplacement image, Stat before) implements Successor {
        @Override
        public Descriptor descriptor() {
            return image.descriptor();
        }

        /**
         * Replaces the target without another check: no process writes published files, and the caller has just checked
         * that it is unchanged.
         */
        @Override
        public boolean takePlaceOf(Stat expected) throws IOException {
            image.commit();
            if (descriptor().status().permissions() != before.permissions()) {
                descriptor().permissions(before.permissions());
            }
            return true;
        }

        @Override
        public void close() throws IOException {
            image.close();
        }
    }
}
