package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.Manifest;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.UUID;

/**
 * The description of one published snapshot: {@code snapshot.json}.
 *
 * @param id its name, in the letter case in which it was given
 * @param uuid random, made for this publication
 * @param created when it was published
 * @param description what the capture said about it
 * @param files every file but the manifest and hints, by name
 */
public record StoredManifest(
        SnapshotId id, UUID uuid, Instant created, SnapshotDescription description, List<SnapshotFile> files)
        implements Manifest {
    public static final int FORMAT = 2;
    /** Without a checksum; still read. */
    public static final int FIRST_FORMAT = 1;
    /** The longest a manifest's JSON may be. */
    public static final int LARGEST_BYTES = 1 << 20;

    private static final int MOST_FILES = 4096;
    private static final long MIB = 1 << 20;
    // The features of this version beyond the first format; a snapshot may require them.
    private static final Set<String> KNOWN_FEATURES = Set.of();

    /** Refuses files that do not belong together with {@link IllegalArgumentException}. */
    public StoredManifest {
        Objects.requireNonNull(id);
        Objects.requireNonNull(uuid);
        Objects.requireNonNull(created);
        if (files.size() > MOST_FILES) {
            throw new IllegalArgumentException(files.size() + " files; " + MOST_FILES + " are allowed");
        }
        Set<String> names = new HashSet<>();
        for (SnapshotFile file : files) {
            if (!names.add(file.name().toLowerCase(Locale.ROOT))) {
                throw new IllegalArgumentException(file.name() + " is listed twice");
            }
        }
        if (!names.contains(SnapshotFiles.MEMORY) || !names.contains(SnapshotFiles.PAGE_INDEX)) {
            throw new IllegalArgumentException("a snapshot has " + SnapshotFiles.MEMORY + " and "
                    + SnapshotFiles.PAGE_INDEX + "; this one has " + names);
        }
        if (names.contains(SnapshotFiles.PAGE_MAP) != description.base().isPresent()) {
            throw new IllegalArgumentException(SnapshotFiles.PAGE_MAP + " is there exactly when there is a base");
        }
        files = files.stream().sorted(Comparator.comparing(SnapshotFile::name)).toList();
        SnapshotFile image = find(files, SnapshotFiles.MEMORY);
        if (image.lengthBytes() != description.layout().lengthBytes()) {
            throw new IllegalArgumentException(SnapshotFiles.MEMORY + " has " + image.lengthBytes()
                    + " bytes, but the regions have " + description.layout().lengthBytes());
        }
        if (image.root() != find(files, SnapshotFiles.PAGE_INDEX).root()) {
            throw new IllegalArgumentException("the digest of " + SnapshotFiles.MEMORY + " is not the root of "
                    + SnapshotFiles.PAGE_INDEX);
        }
    }

    /**
     * Reads canonical or other valid JSON; refuses anything else with line, column and key.
     *
     * @throws DamagedException if it is not as it was written
     * @throws SnapshotException if a newer version wrote it
     */
    public static StoredManifest parse(String file, byte[] json) throws SnapshotException {
        return ManifestCodec.parse(file, json);
    }

    /** Returns the canonical form: equal manifests give equal bytes. */
    public byte[] toJson() {
        return ManifestCodec.write(this);
    }

    /** Returns the same publication under another name. */
    public StoredManifest withId(SnapshotId newId) {
        return new StoredManifest(newId, uuid, created, description, files);
    }

    /** Returns the record behind a manifest. */
    public static StoredManifest of(Manifest manifest) {
        return switch (manifest) {
            case StoredManifest stored -> stored;
        };
    }

    @Override
    public SnapshotReference reference() {
        return new SnapshotReference(id, uuid, indexRoot());
    }

    @Override
    public int indexRoot() {
        return find(files, SnapshotFiles.PAGE_INDEX).root();
    }

    /** Returns what the image holds. */
    public SnapshotKind kind() {
        return description.kind();
    }

    @Override
    public boolean isDiff() {
        return description.kind() == SnapshotKind.DIFF;
    }

    @Override
    public GuestLayout layout() {
        return description.layout();
    }

    @Override
    public Optional<SnapshotReference> parent() {
        return description.parent();
    }

    @Override
    public Optional<SnapshotReference> base() {
        return description.base();
    }

    @Override
    public Optional<SnapshotReference> requiredBase() {
        return description.requiredBase();
    }

    @Override
    public Optional<String> imageName() {
        return description.image();
    }

    @Override
    public Optional<String> bakerVersion() {
        return description.bakedByVersion();
    }

    @Override
    public SortedMap<String, String> labels() {
        return description.labels();
    }

    @Override
    public long memoryMib() {
        return Math.ceilDiv(layout().lengthBytes(), MIB);
    }

    /** Returns a file by name. */
    public Optional<SnapshotFile> file(String name) {
        return files.stream().filter(file -> file.name().equals(name)).findFirst();
    }

    @Override
    public List<String> attachments() {
        return files.stream().map(SnapshotFile::name).filter(SnapshotFiles::isAttachment)
                .map(name -> name.substring(SnapshotFiles.ATTACHMENT_PREFIX.length())).toList();
    }

    @Override
    public boolean hasMachineState() {
        return file(SnapshotFiles.MACHINE).isPresent();
    }

    @Override
    public SortedSet<String> unknownFeatures() {
        SortedSet<String> unknown = new TreeSet<>(description.requires());
        unknown.removeAll(KNOWN_FEATURES);
        return unknown;
    }

    private static SnapshotFile find(List<SnapshotFile> files, String name) {
        return files.stream().filter(file -> file.name().equals(name)).findFirst().orElseThrow(
                () -> new IllegalArgumentException(name + " has the wrong letter case"));
    }
}
