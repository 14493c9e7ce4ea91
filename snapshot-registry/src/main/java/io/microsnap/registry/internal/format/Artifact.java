package io.microsnap.registry.internal.format;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.microsnap.core.DamagedException;
import io.microsnap.store.internal.StrictJson;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;

/**
 * The OCI image manifest that stands for one snapshot.
 *
 * @param config the snapshot's manifest
 * @param layers all other blobs, in the format's order
 * @param annotations for people and listings
 */
public record Artifact(Blob config, List<Blob> layers, SortedMap<String, String> annotations) {
    /** How many blobs an artifact may have, its config included. */
    public static final int MOST_BLOBS = 1000;
    /** The longest manifest that is read. */
    public static final int LARGEST_BYTES = 4 << 20;

    private static final String SNAPSHOT = "io.microsnap.snapshot";
    private static final String FILE = "io.microsnap.file";
    private static final int SCHEMA_VERSION = 2;

    public Artifact {
        layers = List.copyOf(layers);
        annotations = new TreeMap<>(annotations);
        if (layers.size() + 1 > MOST_BLOBS) {
            throw new IllegalArgumentException("an artifact of " + (layers.size() + 1) + " blobs; " + MOST_BLOBS
                    + " are allowed");
        }
    }

    /** Returns the size of the artifact's blobs in the registry, shared ones included, each counted once. */
    public long lengthBytes() {
        Map<Digest, Long> lengths = new TreeMap<>((left, right) -> left.hex().compareTo(right.hex()));
        lengths.put(config.digest(), config.lengthBytes());
        layers.forEach(layer -> lengths.put(layer.digest(), layer.lengthBytes()));
        return lengths.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Returns the canonical form: equal artifacts give equal bytes. */
    public byte[] toJson() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
            json.writeStartObject();
            json.writeNumberField("schemaVersion", SCHEMA_VERSION);
            json.writeStringField("mediaType", MediaTypes.MANIFEST);
            json.writeStringField("artifactType", MediaTypes.ARTIFACT);
            json.writeFieldName("config");
            write(json, config);
            json.writeArrayFieldStart("layers");
            for (Blob layer : layers) {
                write(json, layer);
            }
            json.writeEndArray();
            write(json, annotations);
            json.writeEndObject();
        } catch (IOException impossible) {
            throw new IllegalStateException("memory can always be written to", impossible);
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, Blob blob) throws IOException {
        json.writeStartObject();
        json.writeStringField("mediaType", blob.mediaType());
        json.writeStringField("digest", blob.digest().toString());
        json.writeNumberField("size", blob.lengthBytes());
        if (blob.owner().isPresent()) {
            SortedMap<String, String> annotations = new TreeMap<>();
            annotations.put(SNAPSHOT, blob.owner().get().snapshot().toString());
            annotations.put(FILE, blob.owner().get().file());
            write(json, annotations);
        }
        json.writeEndObject();
    }

    private static void write(JsonGenerator json, SortedMap<String, String> annotations) throws IOException {
        if (!annotations.isEmpty()) {
            json.writeObjectFieldStart("annotations");
            for (Map.Entry<String, String> annotation : annotations.entrySet()) {
                json.writeStringField(annotation.getKey(), annotation.getValue());
            }
            json.writeEndObject();
        }
    }

    /**
     * Tells whether a document is the manifest of a snapshot.
     *
     * @param what names the document in messages
     */
    public static boolean isOne(String what, byte[] json) {
        Reading reading = new Reading();
        try {
            StrictJson.read(what, json, document -> key -> reading.type(document, key));
        } catch (DamagedException other) {
            return false;
        }
        return MediaTypes.ARTIFACT.equals(reading.artifactType);
    }

    /**
     * Reads a manifest. Skips keys that OCI may add; refuses anything else, naming its place.
     *
     * @param what names the document in messages
     */
    public static Artifact parse(String what, byte[] json) throws DamagedException {
        Reading reading = new Reading();
        if (json.length > LARGEST_BYTES) {
            throw new DamagedException(what + " has " + json.length + " bytes; at most " + LARGEST_BYTES
                    + " are allowed");
        }
        StrictJson.read(what, json, document -> {
            reading.document = document;
            return reading::key;
        });
        return reading.artifact(what);
    }

    /** The fields read so far. */
    private static final class Reading {
        private StrictJson document;
        private Optional<Long> schemaVersion = Optional.empty();
        private String mediaType = "";
        private String artifactType = "";
        private Optional<Blob> config = Optional.empty();
        private final List<Blob> layers = new ArrayList<>();
        private final SortedMap<String, String> annotations = new TreeMap<>();

        boolean type(StrictJson json, String key) throws IOException {
            if (key.equals("artifactType")) {
                artifactType = json.string();
                return true;
            }
            return json.skip();
        }

        boolean key(String key) throws IOException {
            switch (key) {
                case "schemaVersion" -> schemaVersion =
                        Optional.of(document.integer(SCHEMA_VERSION, SCHEMA_VERSION));
                case "mediaType" -> mediaType = document.string();
                case "artifactType" -> artifactType = document.string();
                case "config" -> config = Optional.of(blob());
                case "layers" -> document.array(() -> {
                    if (layers.size() + 1 >= MOST_BLOBS) {
                        throw document.refused("more than the " + MOST_BLOBS + " blobs that are allowed");
                    }
                    layers.add(blob());
                });
                case "annotations" -> document.object(name -> {
                    annotations.put(name, document.string());
                    return true;
                });
                default -> document.skip();
            }
            return true;
        }

        private Blob blob() throws IOException {
            String[] type = new String[1];
            Digest[] digest = new Digest[1];
            Long[] size = new Long[1];
            UUID[] snapshot = new UUID[1];
            String[] file = new String[1];
            document.object(key -> {
                switch (key) {
                    case "mediaType" -> type[0] = document.string();
                    case "digest" -> digest[0] = document.string(Digest::parse);
                    case "size" -> size[0] = document.integer(0, Long.MAX_VALUE);
                    case "annotations" -> document.object(name -> {
                        switch (name) {
                            case SNAPSHOT -> snapshot[0] = document.string(Reading::uuid);
                            case FILE -> file[0] = document.string();
                            default -> document.skip();
                        }
                        return true;
                    });
                    default -> document.skip();
                }
                return true;
            });
            if ((snapshot[0] == null) != (file[0] == null)) {
                throw document.refused("a blob of a snapshot has both " + SNAPSHOT + " and " + FILE);
            }
            return new Blob(document.required("mediaType", type[0]), document.required("digest", digest[0]),
                    document.required("size", size[0]),
                    snapshot[0] == null ? Optional.empty() : Optional.of(new Blob.Owner(snapshot[0], file[0])));
        }

        private static UUID uuid(String text) {
            UUID uuid = UUID.fromString(text);
            if (!uuid.toString().equals(text)) {
                throw new IllegalArgumentException("a uuid has its long form, in lower case");
            }
            return uuid;
        }

        Artifact artifact(String what) throws DamagedException {
            if (schemaVersion.isEmpty() || !mediaType.equals(MediaTypes.MANIFEST)
                    || !artifactType.equals(MediaTypes.ARTIFACT) || config.isEmpty()) {
                throw new DamagedException(what + " is not a snapshot: it has another media type or artifact type, or"
                        + " no config");
            }
            if (!config.get().mediaType().equals(MediaTypes.SNAPSHOT)) {
                throw new DamagedException(what + ": its config is of another type than " + MediaTypes.SNAPSHOT);
            }
            return new Artifact(config.get(), layers, annotations);
        }
    }
}
