package io.microsnap.registry;

import io.microsnap.core.DamagedException;
import io.microsnap.registry.internal.client.RegistryClient.ServedManifest;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.remote.RemoteArtifact;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A repository of an OCI registry, into which {@link Push} brings snapshots and from which {@link Pull} fetches them.
 * Any number of threads may use one.
 */
public final class RemoteRepository implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(RemoteRepository.class.getName());

    private final RepositoryName name;
    private final RegistryOptions options;
    private final RegistryClient client;

    private RemoteRepository(RepositoryName name, RegistryOptions options, RegistryClient client) {
        this.name = name;
        this.options = options;
        this.client = client;
    }

    /** Opens a repository. Sends nothing yet; the repository need not exist. */
    public static RemoteRepository open(RepositoryName name, RegistryOptions options) throws IOException {
        return new RemoteRepository(name, options,
                RegistryClient.of(name.registry(), name.path(), options.client()));
    }

    /** Returns its name. */
    public RepositoryName name() {
        return name;
    }

    RegistryClient client() {
        return client;
    }

    /** Returns another repository of the same registry, with the same options. */
    RemoteRepository other(String path) throws IOException {
        return open(new RepositoryName(name.registry(), path), options);
    }

    /**
     * Names every snapshot that has a tag, in the registry's order. Leaves out the internal tags of pushes, artifacts
     * of other kinds, and artifacts that cannot be read.
     */
    public List<RemoteEntry> list() throws IOException {
        List<RemoteEntry> entries = new ArrayList<>();
        for (String tag : client.tags()) {
            if (RemoteArtifact.isUuidTag(tag)) {
                continue;
            }
            // A tag from a registry is checked before it becomes part of an address.
            RegistryReference reference;
            try {
                reference = new RegistryReference(name, Optional.of(tag), Optional.empty());
            } catch (IllegalArgumentException e) {
                throw new DamagedException(name + " lists an invalid tag: " + e.getMessage(), e);
            }
            Optional<ServedManifest> served = client.manifest(reference.selector());
            if (served.isEmpty() || !Artifact.isOne(reference.toString(), served.get().bytes())) {
                continue;
            }
            try {
                RemoteArtifact artifact = RemoteArtifact.read(client, reference.toString(), served.get());
                entries.add(new RemoteEntry(tag, artifact.digest().toString(), artifact.snapshot().manifest(),
                        artifact.artifact().lengthBytes()));
            } catch (DamagedException damaged) {
                LOG.log(System.Logger.Level.WARNING, reference + " is damaged: " + damaged.getMessage());
            }
        }
        return entries;
    }

    @Override
    public void close() {
        client.close();
    }

    @Override
    public String toString() {
        return name.toString();
    }
}
