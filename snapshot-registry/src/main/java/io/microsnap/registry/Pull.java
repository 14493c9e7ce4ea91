package io.microsnap.registry;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.registry.internal.pull.PullSession;
import io.microsnap.registry.internal.pull.PullSettings;
import io.microsnap.registry.internal.pull.Pulled;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.util.Objects;

/**
 * Describes a pull: a snapshot from a registry, and the bases it requires, into a store. A pull does not fetch pages
 * that the store has already, and verifies every fetched page. A snapshot appears whole or not at all, and repeating an
 * interrupted pull continues where it stopped.
 */
public final class Pull {
    private static final int DEFAULT_TRANSFERS = 4;
    private static final int MOST_TRANSFERS = 16;

    private final DirectoryStore store;
    private final SnapshotId id;
    private int transfers = DEFAULT_TRANSFERS;
    private Progress progress = Progress.NONE;

    private Pull(DirectoryStore store, SnapshotId id) {
        this.store = Objects.requireNonNull(store);
        this.id = Objects.requireNonNull(id);
    }

    /** Begins the description of a pull. The id is the snapshot's name in this store; its uuid stays. */
    public static Pull of(SnapshotStore store, SnapshotId id) {
        return new Pull(DirectoryStore.of(store), id);
    }

    /** Sets how many requests run at the same time. */
    public Pull transfers(int count) {
        if (count < 1 || count > MOST_TRANSFERS) {
            throw new IllegalArgumentException(count + " transfers; there may be 1 to " + MOST_TRANSFERS);
        }
        transfers = count;
        return this;
    }

    /** Sets the listener for progress. If it throws, the pull ends; a later pull can continue it. */
    public Pull progress(Progress listener) {
        progress = listener;
        return this;
    }

    /**
     * Pulls. Leaves a snapshot that exists already as it is.
     *
     * @throws java.nio.file.NoSuchFileException if the registry has nothing under the reference
     * @throws java.nio.file.FileAlreadyExistsException if the store has another snapshot under one of the ids
     * @throws io.microsnap.core.DamagedException if the registry serves damaged data
     */
    public PullResult from(RemoteRepository repository, RegistryReference reference) throws IOException {
        if (!reference.repository().equals(repository.name())) {
            throw new IllegalArgumentException(reference + " is not in " + repository);
        }
        long before = repository.client().receivedBytes();
        Pulled pulled = new PullSession(store, repository.client(), new PullSettings(transfers, progress))
                .pull(id, reference.selector());
        return new PullResult(pulled.digest().toString(), pulled.published(),
                repository.client().receivedBytes() - before, pulled.localBytes());
    }
}
