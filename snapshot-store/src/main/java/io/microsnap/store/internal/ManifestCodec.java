package io.microsnap.store.internal;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/** Writes {@code snapshot.json} in one canonical form and reads it strictly. */
public final class ManifestCodec {
    private static final Pattern DIGITS = Pattern.compile("[0-9a-f]{8}");
    private static final String CHECKSUM = "\"checksum\": \"";
    private static final int CHECKSUM_DIGITS = 8;
    private static final String END = "\"\n}\n";
    private static final JsonFactory FACTORY = new JsonFactory();

    private StrictJson json;
    private Long format;
    private SnapshotId id;
    private UUID uuid;
    private SnapshotKind kind;
    private Instant created;
    private Reference parent;
    private Reference base;
    private String image;
    private Long memoryMib;
    private String bakedByVersion;
    private Long pageBytes;
    private List<Region> regions;
    private List<SnapshotFile> files;
    private final SortedMap<String, String> labels = new TreeMap<>();
    private final SortedSet<String> requires = new TreeSet<>();
    private String checksum;
    private boolean newerFormat;

    private ManifestCodec() {
    }

    private record Reference(SnapshotReference snapshot, Boolean required) {
    }

    public static StoredManifest parse(String file, byte[] document) throws SnapshotException {
        if (document.length > StoredManifest.LARGEST_BYTES) {
            throw new DamagedException(file + " has more than the " + StoredManifest.LARGEST_BYTES
                    + " bytes that a manifest may have");
        }
        ManifestCodec codec = new ManifestCodec();
        StrictJson.read(file, document, json -> {
            codec.json = json;
            return codec::key;
        });
        if (codec.newerFormat) {
            throw new SnapshotException(file + ": format " + codec.format + " is neither " + StoredManifest.FIRST_FORMAT
                    + " nor " + StoredManifest.FORMAT + "; a newer version may read it");
        }
        StoredManifest manifest = codec.manifest(file);
        if (codec.format == StoredManifest.FORMAT) {
            requireChecksum(file, document, codec.checksum);
        }
        return manifest;
    }

    /** Checks the checksum, which covers every byte before its digits; the bytes after them are always the same. */
    private static void requireChecksum(String file, byte[] document, String told) throws DamagedException {
        String found = checksum(document, document.length - END.length() - CHECKSUM_DIGITS);
        byte[] tail = (CHECKSUM + told + END).getBytes(StandardCharsets.UTF_8);
        int tailAt = document.length - tail.length;
        if (tailAt < 0 || !Arrays.equals(tail, 0, tail.length, document, tailAt, document.length)) {
            throw new DamagedException(file + " does not end with its checksum");
        }
        if (!found.equals(told)) {
            throw new DamagedException(file + ": its checksum is " + told + " but should be " + found);
        }
    }

    private static String checksum(byte[] document, int lengthBytes) {
        CRC32C crc = new CRC32C();
        crc.update(document, 0, Math.max(0, lengthBytes));
        return String.format("%08x", (int) crc.getValue());
    }

    private boolean key(String key) throws IOException {
        if (newerFormat) {
            return json.skip();
        }
        switch (key) {
            case "format" -> {
                format = json.integer(0, Integer.MAX_VALUE);
                newerFormat = format != StoredManifest.FORMAT && format != StoredManifest.FIRST_FORMAT;
            }
            case "checksum" -> checksum = json.string(ManifestCodec::requireDigits);
            case "id" -> id = json.string(SnapshotId::new);
            case "uuid" -> uuid = json.string(ManifestCodec::uuid);
            case "kind" -> kind = json.string(ManifestCodec::kind);
            case "created" -> created = json.string(ManifestCodec::instant);
            case "parent" -> parent = reference(false);
            case "base" -> base = reference(true);
            case "image" -> image = json.string();
            case "memory_mib" -> memoryMib = json.integer(1, Long.MAX_VALUE);
            case "baked_by_version" -> bakedByVersion = json.string();
            case "page_bytes" -> pageBytes = json.integer(1, Integer.MAX_VALUE);
            case "regions" -> {
                regions = new ArrayList<>();
                json.array(() -> regions.add(region()));
            }
            case "files" -> {
                files = new ArrayList<>();
                json.array(() -> files.add(file()));
            }
            case "labels" -> json.object(label -> {
                labels.put(label, json.string());
                return true;
            });
            case "requires" -> json.array(() -> {
                if (!requires.add(json.string())) {
                    throw json.refused("this feature is listed twice");
                }
            });
            default -> {
                return false;
            }
        }
        return true;
    }

    private Region region() throws IOException {
        Long[] range = new Long[2];
        json.object(key -> {
            switch (key) {
                case "address" -> range[0] = json.integer(0, Long.MAX_VALUE);
                case "length" -> range[1] = json.integer(1, SnapshotDescription.LARGEST_IMAGE_BYTES);
                default -> {
                    return false;
                }
            }
            return true;
        });
        long address = json.required("address", range[0]);
        long length = json.required("length", range[1]);
        try {
            return new Region(address, length);
        } catch (IllegalArgumentException e) {
            throw json.refused(e.getMessage());
        }
    }

    private SnapshotFile file() throws IOException {
        String[] text = new String[2];
        Long[] length = new Long[1];
        json.object(key -> {
            switch (key) {
                case "name" -> text[0] = json.string();
                case "length" -> length[0] = json.integer(0, Long.MAX_VALUE);
                case "digest" -> text[1] = json.string();
                default -> {
                    return false;
                }
            }
            return true;
        });
        String name = json.required("name", text[0]);
        long lengthBytes = json.required("length", length[0]);
        String digest = json.required("digest", text[1]);
        try {
            return new SnapshotFile(name, lengthBytes, digest);
        } catch (IllegalArgumentException e) {
            throw json.refused(e.getMessage());
        }
    }

    private Reference reference(boolean withRequired) throws IOException {
        SnapshotId[] name = new SnapshotId[1];
        UUID[] publication = new UUID[1];
        Integer[] root = new Integer[1];
        Boolean[] required = new Boolean[1];
        json.object(key -> {
            switch (key) {
                case "id" -> name[0] = json.string(SnapshotId::new);
                case "uuid" -> publication[0] = json.string(ManifestCodec::uuid);
                case "root" -> root[0] = json.string(ManifestCodec::root);
                case "required" -> {
                    if (!withRequired) {
                        return false;
                    }
                    required[0] = json.bool();
                }
                default -> {
                    return false;
                }
            }
            return true;
        });
        SnapshotReference snapshot = new SnapshotReference(json.required("id", name[0]),
                json.required("uuid", publication[0]), json.required("root", root[0]));
        return new Reference(snapshot, withRequired ? json.required("required", required[0]) : Boolean.FALSE);
    }

    private StoredManifest manifest(String file) throws DamagedException {
        require(file, "format", format);
        require(file, "id", id);
        require(file, "uuid", uuid);
        require(file, "kind", kind);
        require(file, "created", created);
        require(file, "memory_mib", memoryMib);
        require(file, "page_bytes", pageBytes);
        require(file, "regions", regions);
        require(file, "files", files);
        if (format == StoredManifest.FORMAT) {
            require(file, "checksum", checksum);
        } else if (checksum != null) {
            throw new DamagedException(file + ": format " + format + " has no checksum, and this one has");
        }
        if (base != null && base.required() != (kind == SnapshotKind.DIFF)) {
            throw new DamagedException(file + ", key /base/required: a diff requires its base, and a full snapshot"
                    + " does not");
        }
        try {
            GuestLayout layout = GuestLayout.ofImportedImage(Math.toIntExact(pageBytes), regions);
            StoredManifest manifest = new StoredManifest(id, uuid, created,
                    new SnapshotDescription(kind, layout, Optional.ofNullable(parent).map(Reference::snapshot),
                            Optional.ofNullable(base).map(Reference::snapshot), Optional.ofNullable(image),
                            Optional.ofNullable(bakedByVersion), labels, requires),
                    files);
            if (memoryMib != manifest.memoryMib()) {
                throw new DamagedException(file + ", key /memory_mib: it is " + memoryMib + ", but the regions have "
                        + manifest.memoryMib() + " MiB");
            }
            return manifest;
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw new DamagedException(file + " contradicts itself: " + e.getMessage(), e);
        }
    }

    private static void require(String file, String key, Object value) throws DamagedException {
        if (value == null) {
            throw new DamagedException(file + ": the key '" + key + "' is missing");
        }
    }

    private static UUID uuid(String text) {
        UUID value = UUID.fromString(text);
        if (!value.toString().equals(text)) {
            throw new IllegalArgumentException("'" + text + "' is not a UUID in lower case");
        }
        return value;
    }

    private static Integer root(String text) {
        return Integer.parseUnsignedInt(requireDigits(text), 16);
    }

    private static String requireDigits(String text) {
        if (!DIGITS.matcher(text).matches()) {
            throw new IllegalArgumentException("a root or a checksum has 8 lower-case hex digits");
        }
        return text;
    }

    private static SnapshotKind kind(String text) {
        for (SnapshotKind kind : SnapshotKind.values()) {
            if (kind.toString().equals(text)) {
                return kind;
            }
        }
        throw new IllegalArgumentException("'" + text + "' is not a kind of snapshot");
    }

    private static Instant instant(String text) {
        Instant value = Instant.parse(text);
        if (!value.toString().equals(text)) {
            throw new IllegalArgumentException("'" + text + "' is not an ISO 8601 time in UTC");
        }
        return value;
    }

    public static byte[] write(StoredManifest manifest) {
        StringWriter text = new StringWriter();
        try (JsonGenerator to = FACTORY.createGenerator(text)) {
            DefaultIndenter lines = new DefaultIndenter("  ", "\n");
            DefaultPrettyPrinter pretty = new DefaultPrettyPrinter(Separators.createDefaultInstance()
                    .withObjectFieldValueSpacing(Separators.Spacing.AFTER));
            pretty.indentObjectsWith(lines);
            pretty.indentArraysWith(lines);
            to.setPrettyPrinter(pretty);
            write(manifest, to);
            to.writeRaw('\n');
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        byte[] document = text.toString().getBytes(StandardCharsets.UTF_8);
        int digitsAt = document.length - END.length() - CHECKSUM_DIGITS;
        byte[] digits = checksum(document, digitsAt).getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(digits, 0, document, digitsAt, CHECKSUM_DIGITS);
        return document;
    }

    private static void write(StoredManifest manifest, JsonGenerator to) throws IOException {
        SnapshotDescription description = manifest.description();
        to.writeStartObject();
        to.writeNumberField("format", StoredManifest.FORMAT);
        to.writeStringField("id", manifest.id().name());
        to.writeStringField("uuid", manifest.uuid().toString());
        to.writeStringField("kind", manifest.kind().toString());
        to.writeStringField("created", manifest.created().toString());
        if (description.parent().isPresent()) {
            writeReference("parent", description.parent().get(), to);
            to.writeEndObject();
        }
        if (description.base().isPresent()) {
            writeReference("base", description.base().get(), to);
            to.writeBooleanField("required", manifest.isDiff());
            to.writeEndObject();
        }
        if (description.image().isPresent()) {
            to.writeStringField("image", description.image().get());
        }
        to.writeNumberField("memory_mib", manifest.memoryMib());
        if (description.bakedByVersion().isPresent()) {
            to.writeStringField("baked_by_version", description.bakedByVersion().get());
        }
        to.writeNumberField("page_bytes", manifest.layout().pageBytes());
        to.writeArrayFieldStart("regions");
        for (Region region : manifest.layout().regions()) {
            to.writeStartObject();
            to.writeNumberField("address", region.guestAddress());
            to.writeNumberField("length", region.lengthBytes());
            to.writeEndObject();
        }
        to.writeEndArray();
        to.writeArrayFieldStart("files");
        for (SnapshotFile file : manifest.files()) {
            to.writeStartObject();
            to.writeStringField("name", file.name());
            to.writeNumberField("length", file.lengthBytes());
            to.writeStringField("digest", file.digest());
            to.writeEndObject();
        }
        to.writeEndArray();
        if (!description.labels().isEmpty()) {
            to.writeObjectFieldStart("labels");
            for (Map.Entry<String, String> label : description.labels().entrySet()) {
                to.writeStringField(label.getKey(), label.getValue());
            }
            to.writeEndObject();
        }
        if (!description.requires().isEmpty()) {
            to.writeArrayFieldStart("requires");
            for (String feature : description.requires()) {
                to.writeString(feature);
            }
            to.writeEndArray();
        }
        // The checksum comes last; its digits are filled in when the rest is written.
        to.writeStringField("checksum", "0".repeat(CHECKSUM_DIGITS));
        to.writeEndObject();
    }

    private static void writeReference(String key, SnapshotReference reference, JsonGenerator to) throws IOException {
        to.writeObjectFieldStart(key);
        to.writeStringField("id", reference.id().name());
        to.writeStringField("uuid", reference.uuid().toString());
        to.writeStringField("root", String.format("%08x", reference.indexRoot()));
    }
}
