package io.microsnap.dedup;

import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.dedup.DedupOutcome.Reason;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** Lets one image share blocks with another: two plain files, in no store. Any number of threads may use it. */
final class FileDeduplicator {
    private final Posix posix;
    private final Reflink reflink = new Reflink();

    FileDeduplicator(Posix posix) {
        this.posix = posix;
    }

    /** See {@link Deduplicator#deduplicateFiles}. */
    DedupOutcome deduplicate(Path canonical, Path target, DedupOptions options) throws IOException {
        Constants constants = posix.constants();
        int flags = constants.O_RDONLY | constants.O_NONBLOCK;
        try (Descriptor canonicalFile = Descriptor.open(posix, canonical, flags, 0);
                Descriptor targetFile = Descriptor.open(posix, target, flags | constants.O_NOFOLLOW, 0)) {
            return PairDedup.run(new PairDedup.Images(canonicalFile, targetFile, posix.getpagesize(), Optional.empty()),
                    new Beside(posix, target, reflink), options, reflink);
        }
    }

    /** See {@link Deduplicator#estimateFiles}. */
    DedupOutcome estimate(Path canonical, Path target, DedupOptions options) throws IOException {
        Constants constants = posix.constants();
        int flags = constants.O_RDONLY | constants.O_NONBLOCK;
        try (Descriptor canonicalFile = Descriptor.open(posix, canonical, flags, 0);
                Descriptor targetFile = Descriptor.open(posix, target, flags | constants.O_NOFOLLOW, 0)) {
            return PairDedup.estimate(
                    new PairDedup.Images(canonicalFile, targetFile, posix.getpagesize(), Optional.empty()),
                    new Beside(posix, target, reflink), options, reflink);
        }
    }

    /** New files are made beside the old one. */
    private record Beside(Posix posix, Path target, Reflink reflink) implements Workplace {
        private static final int PRIVATE = 0600;

        @Override
        public void withScratchFile(Use use) throws IOException {
            Constants constants = posix.constants();
            Path directory = target.toAbsolutePath().getParent();
            try (Descriptor nameless =
                    Descriptor.open(posix, directory, constants.O_TMPFILE | constants.O_RDWR, PRIVATE)) {
                use.accept(nameless);
            }
        }

        @Override
        public boolean isTargetInUse() {
            return false;
        }

        @Override
        public Successor clone(Descriptor canonical) throws IOException {
            StagedFile staged = StagedFile.create(posix, target);
            try {
                return switch (reflink.cloneInto(canonical, staged)) {
                    case ReflinkOutcome.Cloned cloned -> new Staged(staged);
                    case ReflinkOutcome.Unsupported unsupported ->
                            throw new NotDeduplicatedException(Reason.UNSUPPORTED, canonical + ": "
                                    + unsupported.reason());
                    case ReflinkOutcome.SourceVanished vanished ->
                            throw new NotDeduplicatedException(Reason.SIBLING_GONE, canonical + " is gone");
                };
            } catch (Throwable failure) {
                try (staged) {
                    throw failure;
                }
            }
        }
    }

    private record Staged(StagedFile file) implements Workplace.Successor {
        @Override
        public Descriptor descriptor() {
            return file.descriptor();
        }

        @Override
        public boolean takePlaceOf(Stat expected) throws IOException {
            return file.commitInPlaceOf(expected, Durability.FULL);
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
