package io.microsnap.registry.internal.pull;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Sibling;
import io.microsnap.dedup.internal.SiblingChoice;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameTable;
import io.microsnap.registry.internal.format.PageSet;
import io.microsnap.registry.internal.remote.Downloads;
import io.microsnap.registry.internal.remote.RemoteSnapshot;
import io.microsnap.registry.internal.remote.RemoteTable;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.PartialImage;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Brings one snapshot of an artifact into the store, which has the bases it requires already. */
final class SnapshotDownload {
    private static final System.Logger LOG = System.getLogger(SnapshotDownload.class.getName());

    private final DirectoryStore store;
    private final RegistryClient client;
    private final PullSettings settings;
    private final RemoteSnapshot remote;
    private final PullProgress progress;
    private long localBytes;

    SnapshotDownload(DirectoryStore store, RegistryClient client, PullSettings settings, RemoteSnapshot remote,
            PullProgress progress) {
        this.store = store;
        this.client = client;
        this.settings = settings;
        this.remote = remote;
        this.progress = progress;
    }

    /**
     * Fetches, checks and publishes it; returns how many bytes of pages were in the store already.
     *
     * @param doneBytes the progress of the whole pull once it is published
     */
    long run(StoredManifest publishedAs, long doneBytes) throws IOException {
        StoredManifest manifest = remote.manifest();
        try (StagedSnapshot staged = store.stage(publishedAs.id());
                PartialImage image = store.partialImage(remote.frames().digest().hex())) {
            for (SnapshotFile file : manifest.files()) {
                if (!file.name().equals(SnapshotFiles.MEMORY)) {
                    Blob blob = remote.files().get(file.name());
                    Downloads.toFile(client, blob, staged.create(file.name()), (piece, offset) -> {
                        progress.done(piece.byteSize());
                        progress.tell();
                    });
                }
            }
            try (PageIndex index = PageIndex.open(staged.file(SnapshotFiles.PAGE_INDEX), manifest.layout())) {
                requireRoot(SnapshotFiles.PAGE_INDEX, index.root(), manifest.indexRoot());
                Optional<PageMap> own = ownPages(staged);
                try (AutoClosing<PageMap> _ = new AutoClosing<>(own); RemoteTable table =
                        RemoteTable.fetch(client, remote)) {
                    fill(image, table.table(), index, own);
                    requireComplete(table.table(), index, own);
                }
            }
            // A full disk is detected now, while the fetched pages are still kept for the next attempt.
            image.descriptor().sync();
            progress.reached(doneBytes);
            progress.tell();
            staged.adopt(image);
            staged.publishAsMadeElsewhere(publishedAs);
        }
        return localBytes;
    }

    private record AutoClosing<T extends Closeable>(Optional<T> resource) implements Closeable {
        @Override
        public void close() throws IOException {
            if (resource.isPresent()) {
                resource.get().close();
            }
        }
    }

    /** Returns the pages that a diff's image holds; empty if the image holds all pages. */
    private Optional<PageMap> ownPages(StagedSnapshot staged) throws IOException {
        if (!remote.manifest().isDiff()) {
            return Optional.empty();
        }
        return Optional.of(PageMap.open(staged.file(SnapshotFiles.PAGE_MAP), remote.manifest().layout()));
    }

    private void requireRoot(String file, int found, int expected) throws DamagedException {
        if (found != expected) {
            throw new DamagedException(file + " from " + client + " is not the one that the manifest of "
                    + remote.manifest().reference() + " names: its root is "
                    + String.format("%08x, not %08x", found, expected));
        }
    }

    private void fill(PartialImage partial, FrameTable table, PageIndex index, Optional<PageMap> own)
            throws IOException {
        Descriptor image = partial.descriptor();
        GuestLayout layout = table.layout();
        boolean begun = image.sizeBytes() == layout.lengthBytes();
        if (!begun) {
            image.truncate(0);
            image.truncate(layout.lengthBytes());
        }
        List<LocalPages> sources = sources(index, own);
        try (FrameFetch fetch = new FrameFetch(client, table, index, image, settings.transfers(), progress);
                Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(Frame.LARGEST_BYTES);
            table.frames(frame -> {
                if (own.isPresent()) {
                    requireOwn(frame, own.get());
                }
                if (!(begun && isThere(frame, image, index, buffer)) && !isGiven(sources, frame, index, image)) {
                    fetch.add(frame);
                    return;
                }
                long bytes = (long) frame.usedCount() * layout.pageBytes();
                localBytes += bytes;
                progress.done(bytes);
                progress.tell();
            });
            fetch.finish();
        } finally {
            sources.forEach(LocalPages::close);
        }
    }

    private void requireOwn(Frame frame, PageMap own) throws IOException {
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            for (long page = firstPage; page < firstPage + count; page++) {
                if (!own.test(page)) {
                    throw new DamagedException("the frame table of " + remote.manifest().reference() + " gives page "
                            + page + ", which its page map leaves to the base");
                }
            }
        });
    }

    private static boolean isGiven(List<LocalPages> sources, Frame frame, PageIndex index, Descriptor image)
            throws IOException {
        for (LocalPages source : sources) {
            if (source.give(frame, index, image)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Returns whether an earlier attempt has written the frame's pages. Pages that are zero by the index prove nothing.
     */
    private static boolean isThere(Frame frame, Descriptor image, PageIndex index, MemorySegment buffer)
            throws IOException {
        int pageBytes = index.layout().pageBytes();
        boolean[] there = {true};
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            if (!there[0]) {
                return;
            }
            long offset = firstPage * pageBytes;
            long length = Math.min((long) count * pageBytes, index.layout().lengthBytes() - offset);
            image.readFully(buffer.asSlice(0, length), offset);
            for (int page = 0; page < count && there[0]; page++) {
                long at = (long) page * pageBytes;
                int crc = index.crc(firstPage + page);
                there[0] = crc != index.zero(firstPage + page)
                        && crc == Pages.crc32c(buffer, at, Math.min(pageBytes, length - at));
            }
        });
        return there[0];
    }

    /** Throws unless all pages that no frame contains are zero by the index. */
    private void requireComplete(FrameTable table, PageIndex index, Optional<PageMap> own) throws IOException {
        try (PageSet given = PageSet.of(Posix.host(), table.layout().pageCount())) {
            table.frames(frame -> frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
                for (long page = firstPage; page < firstPage + count; page++) {
                    given.add(page);
                }
            }));
            for (long page = 0; page < table.layout().pageCount(); page++) {
                if (!given.has(page) && (own.isEmpty() || own.get().test(page)) && !index.isZero(page)) {
                    throw new DamagedException("the frame table of " + remote.manifest().reference()
                            + " does not give page " + page + ", which is not zero by its page index");
                }
            }
        }
    }

    /**
     * Returns the similar snapshots in the store: the base it was cloned from, and the sibling that dedup would choose.
     */
    private List<LocalPages> sources(PageIndex index, Optional<PageMap> own) throws IOException {
        List<SnapshotReference> references = new ArrayList<>();
        remote.manifest().base().ifPresent(references::add);
        new SiblingChoice(store, DedupOptions.DEFAULTS).rank(remote.manifest(), index, own).stream()
                .map(Sibling::reference)
                .filter(reference -> !references.contains(reference)).limit(1).forEach(references::add);
        List<LocalPages> sources = new ArrayList<>();
        for (SnapshotReference reference : references) {
            try {
                StoredSnapshot held = store.hold(reference.id());
                if (held.reference().equals(reference)
                        && held.layout().equals(remote.manifest().layout())) {
                    sources.add(new LocalPages(held));
                } else {
                    held.close();
                }
            } catch (NoSuchFileException | DamagedException useless) {
                LOG.log(System.Logger.Level.DEBUG, reference + " is no source of pages", useless);
            }
        }
        return sources;
    }
}
