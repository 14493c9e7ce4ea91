package io.microsnap.registry;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.FrameCompression;
import io.microsnap.registry.internal.push.PushSession;
import io.microsnap.registry.internal.push.PushSettings;
import io.microsnap.registry.internal.push.Pushed;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * Describes a push: a snapshot of a store, and the bases it requires, into a registry. A push does not send what the
 * registry has already: pages of the base, pages of the sibling that dedup would choose, and blobs of earlier pushes,
 * even interrupted ones. The tag appears only when everything is in the registry.
 */
public final class Push {
    /** The level that is as fast as a disk; higher ones save a few percent of the bytes for twice the time. */
    public static final int DEFAULT_LEVEL = 1;

    private static final int DEFAULT_TRANSFERS = 3;
    private static final int MOST_THREADS = 64;
    private static final int MOST_TRANSFERS = 16;

    private final DirectoryStore store;
    private final SnapshotId id;
    private int level = DEFAULT_LEVEL;
    private int threads = Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors());
    private int transfers = DEFAULT_TRANSFERS;
    private Progress progress = Progress.NONE;
    private final List<String> otherRepositories = new ArrayList<>();

    private Push(DirectoryStore store, SnapshotId id) {
        this.store = Objects.requireNonNull(store);
        this.id = Objects.requireNonNull(id);
    }

    /** Begins the description of a push. */
    public static Push of(SnapshotStore store, SnapshotId id) {
        return new Push(DirectoryStore.of(store), id);
    }

    /** Sets the level of compression, 1 to 19. Another level makes different blobs of the same pages. */
    public Push level(int zstd) {
        if (zstd < 1 || zstd > FrameCompression.HIGHEST_LEVEL) {
            throw new IllegalArgumentException("level " + zstd + "; there are 1 to "
                    + FrameCompression.HIGHEST_LEVEL);
        }
        level = zstd;
        return this;
    }

    /** Sets how many threads compress; the blobs do not depend on it. */
    public Push threads(int count) {
        if (count < 1 || count > MOST_THREADS) {
            throw new IllegalArgumentException(count + " threads; there may be 1 to " + MOST_THREADS);
        }
        threads = count;
        return this;
    }

    /** Sets how many requests run at the same time. */
    public Push transfers(int count) {
        if (count < 1 || count > MOST_TRANSFERS) {
            throw new IllegalArgumentException(count + " transfers; there may be 1 to " + MOST_TRANSFERS);
        }
        transfers = count;
        return this;
    }

    /** Also looks for the base and siblings in this repository of the same registry, and mounts its blobs. */
    public Push mountFrom(String repository) {
        otherRepositories.add(repository);
        return this;
    }

    /** Sets the listener for progress. If it throws, the push ends. */
    public Push progress(Progress listener) {
        progress = listener;
        return this;
    }

    /**
     * Pushes. If the reference has a digest, only an artifact with that digest is tagged.
     *
     * @throws java.nio.file.NoSuchFileException if the store has no such snapshot
     * @throws io.microsnap.core.DamagedException if the snapshot is damaged, or its digest is not the requested one
     */
    public PushResult to(RemoteRepository repository, RegistryReference reference) throws IOException {
        if (!reference.repository().equals(repository.name())) {
            throw new IllegalArgumentException(reference + " is not in " + repository);
        }
        List<RemoteRepository> others = new ArrayList<>();
        try {
            for (String path : otherRepositories) {
                others.add(repository.other(path));
            }
            List<RegistryClient> clients = others.stream().map(RemoteRepository::client).toList();
            long before = repository.client().sentBytes();
            Pushed pushed = new PushSession(store, repository.client(), clients,
                    new PushSettings(level, threads, transfers, progress))
                    .push(id, reference.tag(), reference.digest().map(Digest::parse));
            return new PushResult(pushed.digest().toString(), pushed.pushed(), pushed.donor(),
                    repository.client().sentBytes() - before, pushed.lengthBytes());
        } finally {
            others.forEach(RemoteRepository::close);
        }
    }
}
