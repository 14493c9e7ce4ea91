package io.microsnap.cli;

import io.microsnap.core.Region;
import io.microsnap.core.SnapshotReference;
import io.microsnap.store.Manifest;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.StoredManifest;
import java.util.ArrayList;
import java.util.List;

/** Manifests as the commands print them for programs. */
final class Manifests {
    private Manifests() {
    }

    static Document document(Manifest shown) {
        StoredManifest manifest = StoredManifest.of(shown);
        SnapshotDescription description = manifest.description();
        return new Document().put("id", manifest.id()).put("uuid", manifest.uuid()).put("kind", manifest.kind())
                .put("created", manifest.created()).put("parent", description.parent().map(Manifests::document))
                .put("base", description.base().map(base -> document(base)
                        .put("required", description.requiredBase().isPresent())))
                .put("image", description.image()).put("memory_mib", manifest.memoryMib())
                .put("baked_by_version", description.bakedByVersion())
                .put("page_bytes", manifest.layout().pageBytes()).put("regions", regions(manifest))
                .put("labels", description.labels()).put("requires", description.requires())
                .put("files", files(manifest));
    }

    static Document document(SnapshotReference reference) {
        return new Document().put("id", reference.id()).put("uuid", reference.uuid())
                .put("root", String.format("%08x", reference.indexRoot()));
    }

    static Document document(SpaceUse space) {
        return new Document().put("logical_bytes", space.logicalBytes()).put("allocated_bytes", space.allocatedBytes())
                .put("exclusive_bytes", space.exclusiveBytes());
    }

    private static List<Document> regions(Manifest manifest) {
        List<Document> regions = new ArrayList<>();
        for (Region region : manifest.layout().regions()) {
            regions.add(new Document().put("guest_address", region.guestAddress())
                    .put("length_bytes", region.lengthBytes()));
        }
        return regions;
    }

    private static List<Document> files(StoredManifest manifest) {
        List<Document> files = new ArrayList<>();
        for (SnapshotFile file : manifest.files()) {
            files.add(new Document().put("name", file.name()).put("length_bytes", file.lengthBytes())
                    .put("digest", file.digest()));
        }
        return files;
    }
}
