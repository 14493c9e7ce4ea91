package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ManifestTest {
    static final StoredManifest SAMPLE = sample();

    private static StoredManifest sample() {
        GuestLayout layout = GuestLayout.of(4096, List.of(new Region(0, 3L << 20), new Region(4L << 30, 5L << 20)));
        SnapshotReference base = new SnapshotReference(
                new SnapshotId("golden"), UUID.fromString("11111111-2222-4333-8444-555555555555"), 0xcafe0001);
        SnapshotDescription description = SnapshotDescription.diff(layout, base).withParent(base)
                .withImage("debian-13 größe 🐧").withBakedByVersion("1.2.3").withLabel("team", "blue")
                .withLabel("app/tier", "web").withRequired("packed-diff");
        return new StoredManifest(new SnapshotId("Web-01"), UUID.fromString("0f0e0d0c-0b0a-4908-8706-050403020100"),
                Instant.parse("2026-01-02T03:04:05.678901Z"), description, List.of(
                        SnapshotFile.withRoot(SnapshotFiles.MEMORY, 8L << 20, 0xdeadbeef),
                        SnapshotFile.withRoot(SnapshotFiles.PAGE_INDEX, 16384, 0xdeadbeef),
                        SnapshotFile.withRoot(SnapshotFiles.PAGE_MAP, 12288, 7),
                        SnapshotFile.withSha256(SnapshotFiles.attachment("disk.qcow2"), 5, "ab".repeat(32))));
    }

    @Test
    void canonicalFormIsThisAndNoOther() throws IOException {
        String expected = """
                {
                  "format": 2,
                  "id": "Web-01",
                  "uuid": "0f0e0d0c-0b0a-4908-8706-050403020100",
                  "kind": "diff",
                  "created": "2026-01-02T03:04:05.678901Z",
                  "parent": {
                    "id": "golden",
                    "uuid": "11111111-2222-4333-8444-555555555555",
                    "root": "cafe0001"
                  },
                  "base": {
                    "id": "golden",
                    "uuid": "11111111-2222-4333-8444-555555555555",
                    "root": "cafe0001",
                    "required": true
                  },
                  "image": "debian-13 größe 🐧",
                  "memory_mib": 8,
                  "baked_by_version": "1.2.3",
                  "page_bytes": 4096,
                  "regions": [
                    {
                      "address": 0,
                      "length": 3145728
                    },
                    {
                      "address": 4294967296,
                      "length": 5242880
                    }
                  ],
                  "files": [
                    {
                      "name": "attachments/disk.qcow2",
                      "length": 5,
                      "digest": "sha256:%s"
                    },
                    {
                      "name": "memory.idx",
                      "length": 16384,
                      "digest": "root:deadbeef"
                    },
                    {
                      "name": "memory.img",
                      "length": 8388608,
                      "digest": "root:deadbeef"
                    },
                    {
                      "name": "memory.map",
                      "length": 12288,
                      "digest": "root:00000007"
                    }
                  ],
                  "labels": {
                    "app/tier": "web",
                    "team": "blue"
                  },
                  "requires": [
                    "packed-diff"
                  ],
                  "checksum": "%08x"
                }
                """;
        String before = expected.substring(0, expected.indexOf("%08x")).formatted("ab".repeat(32));
        expected = expected.formatted("ab".repeat(32), Snapshots.crc(before.getBytes(StandardCharsets.UTF_8)));
        assertThat(new String(SAMPLE.toJson(), StandardCharsets.UTF_8)).isEqualTo(expected);
        assertThat(StoredManifest.parse("m", SAMPLE.toJson())).isEqualTo(SAMPLE);
        assertThat(SAMPLE.unknownFeatures()).containsExactly("packed-diff");
        assertThat(SAMPLE.reference().indexRoot()).isEqualTo(0xdeadbeef);
        assertThat(SAMPLE.attachments()).containsExactly("disk.qcow2");
    }

    static List<Arguments> wrongs() {
        return List.of(
                Arguments.of("\"format\": 2,", "\"format\": true,",
                        "line 2, column 13, key /format"),
                Arguments.of("\"format\": 2,", "\"format\": 1,",
                        "format 1 has no checksum"),
                Arguments.of("\"format\": 2,", "\"format\": 1.9,",
                        "expected a whole number"),
                Arguments.of("\"format\": 2,", "\"format\": \"1\",",
                        "expected a whole number"),
                Arguments.of("\"format\": 2,", "\"format\": 99999999999999999999,",
                        "key /format"),
                Arguments.of("\"format\": 2,", "\"format\": 2, \"format\": 2,",
                        "Duplicate"),
                Arguments.of("\"format\": 2,", "\"format\": 2, \"extra\": 1,",
                        "key /extra: unknown key"),
                Arguments.of("\"format\": 2,", "",
                        "'format' is missing"),
                Arguments.of("\"id\": \"Web-01\"", "\"id\": \"../x\"",
                        "key /id: '../x' cannot name a snapshot"),
                Arguments.of("\"id\": \"Web-01\"", "\"id\": \".staging\"",
                        "key /id"),
                Arguments.of("\"id\": \"Web-01\"", "\"id\": \"a\\u0000b\"",
                        "key /id"),
                Arguments.of("\"id\": \"Web-01\"", "\"id\": \"\\ud800\"",
                        "key /id"),
                Arguments.of("\"kind\": \"diff\"", "\"kind\": \"DIFF\"",
                        "key /kind"),
                Arguments.of("\"kind\": \"diff\"", "\"kind\": \"full\"",
                        "a diff requires its base, and a full snapshot does not"),
                Arguments.of("\"required\": true", "\"required\": false",
                        "a diff requires its base, and a full snapshot does not"),
                Arguments.of("\"required\": true", "\"required\": 1",
                        "expected true or false"),
                Arguments.of("\"root\": \"cafe0001\"", "\"root\": \"CAFE0001\"",
                        "key /parent/root"),
                Arguments.of("\"uuid\": \"0f0e0d0c-", "\"uuid\": \"0F0e0d0c-",
                        "key /uuid"),
                Arguments.of("\"uuid\": \"0f0e0d0c-", "\"uuid\": \"-",
                        "key /uuid"),
                Arguments.of("05.678901Z", "05.6789010Z",
                        "key /created"),
                Arguments.of("05.678901Z", "05.678901+01:00",
                        "key /created"),
                Arguments.of("\"memory_mib\": 8", "\"memory_mib\": 9",
                        "key /memory_mib"),
                Arguments.of("\"memory_mib\": 8", "\"memory_mib\": -8",
                        "is not between"),
                Arguments.of("\"page_bytes\": 4096", "\"page_bytes\": 4097",
                        "a page is a power of two"),
                Arguments.of("\"length\": 3145728", "\"length\": 3145727",
                        "does not start and end on pages"),
                Arguments.of("\"address\": 4294967296", "\"address\": 4096",
                        "overlaps"),
                Arguments.of("\"address\": 4294967296", "\"address\": 9223372036854775807",
                        "key /regions/1"),
                Arguments.of("\"length\": 8388608", "\"length\": 8388609",
                        "but the regions have 8388608"),
                Arguments.of("\"root:00000007\"", "\"root:7\"",
                        "is no digest"),
                Arguments.of("\"root:00000007\"", "\"sha256:00\"",
                        "is no digest"),
                Arguments.of("\"memory.map\"", "\"memory.mop\"",
                        "is not a file of a snapshot"),
                Arguments.of("\"memory.map\"", "\"memory.idx\"",
                        "is listed twice"),
                Arguments.of("\"memory.map\"", "\"machine.bin\"",
                        "is no digest"),
                Arguments.of("attachments/disk", "attachments/../disk",
                        "cannot name an attachment"),
                Arguments.of("attachments/disk", "attachments/",
                        "cannot name an attachment"),
                Arguments.of("\"team\": \"blue\"", "\"team\": \"a\\u001bb\"",
                        "key /labels/team"),
                Arguments.of("\"team\": \"blue\"", "\"te am\": \"blue\"",
                        "cannot name a label"),
                Arguments.of("\"packed-diff\"", "\"Packed\"",
                        "cannot name a feature"),
                Arguments.of("\"packed-diff\"", "\"a\", \"a\"",
                        "listed twice"),
                Arguments.of("\"packed-diff\"", "[\"a\"]",
                        "expected a string"),
                Arguments.of("\"packed-diff\"", "1",
                        "expected a string"));
    }

    @ParameterizedTest
    @MethodSource("wrongs")
    void whatIsWrongIsRefusedAndNamed(String right, String wrong, String message) {
        String json = new String(SAMPLE.toJson(), StandardCharsets.UTF_8);
        assertThat(json).contains(right);
        String changed = json.substring(0, json.indexOf(right)) + wrong
                + json.substring(json.indexOf(right) + right.length());
        assertThatThrownBy(() -> StoredManifest.parse(
                "store/web-01/snapshot.json", changed.getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(DamagedException.class).hasMessageContaining(message)
                .hasMessageContaining("store/web-01/snapshot.json");
    }

    @Test
    void everyFlippedBitAndEveryByteMoreOrLessIsRefused() {
        byte[] json = SAMPLE.toJson();
        for (int bit = 0; bit < json.length * Byte.SIZE; bit++) {
            byte[] flipped = json.clone();
            flipped[bit / Byte.SIZE] ^= (byte) (1 << bit % Byte.SIZE);
            assertThatThrownBy(() -> StoredManifest.parse("m", flipped)).as("bit %d", bit)
                    .isInstanceOf(SnapshotException.class);
        }
        for (String more : List.of(" ", "\n", "{}")) {
            assertRefused((new String(json, StandardCharsets.UTF_8) + more).getBytes(StandardCharsets.UTF_8), "");
            assertRefused((more.strip() + new String(json, StandardCharsets.UTF_8).replace("\n}", "\n }"))
                    .getBytes(StandardCharsets.UTF_8), "");
        }
    }

    @Test
    void theFirstFormatHasNoChecksumAndIsReadStill() throws IOException {
        String first = new String(firstFormat(SAMPLE.toJson()), StandardCharsets.UTF_8);
        assertThat(StoredManifest.parse("m", first.getBytes(StandardCharsets.UTF_8))).isEqualTo(SAMPLE);
        assertRefused(first.replace("\"format\": 1", "\"format\": 2").getBytes(StandardCharsets.UTF_8),
                "'checksum' is missing");
    }

    static byte[] firstFormat(byte[] json) {
        String second = new String(json, StandardCharsets.UTF_8);
        return (second.substring(0, second.lastIndexOf(",\n  \"checksum\""))
                .replace("\"format\": 2", "\"format\": 1") + "\n}\n").getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void aLabelNamedChecksumIsNotTakenForTheChecksum() throws IOException {
        StoredManifest labelled = new StoredManifest(SAMPLE.id(), SAMPLE.uuid(), SAMPLE.created(),
                SAMPLE.description().withLabel("checksum", "00000000"), SAMPLE.files());
        assertThat(StoredManifest.parse("m", labelled.toJson())).isEqualTo(labelled);
    }

    @Test
    void aNewerFormatIsNotCalledDamage() {
        String newer = new String(SAMPLE.toJson(), StandardCharsets.UTF_8)
                .replace("\"format\": 2,", "\"format\": 3, \"novelty\": {\"a\": [1]},");
        assertThatThrownBy(() -> StoredManifest.parse("m", newer.getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(SnapshotException.class).isNotInstanceOf(DamagedException.class)
                .hasMessageContaining("a newer version may read it");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "null", "[]", "1", "{", "{}", "{\"format\":1}", "{}{}", "[[[[[[[[[[[[[["})
    void whatIsNoManifestAtAllIsRefused(String json) {
        assertThatThrownBy(() -> StoredManifest.parse("m", json.getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(DamagedException.class);
    }

    @Test
    void encodingsOtherThanStrictUtf8AreRefused() {
        byte[] json = SAMPLE.toJson();
        byte[] withMark = new byte[json.length + 3];
        System.arraycopy(new byte[] {(byte) 0xef, (byte) 0xbb, (byte) 0xbf}, 0, withMark, 0, 3);
        System.arraycopy(json, 0, withMark, 3, json.length);
        assertRefused(withMark, "byte order mark");
        assertRefused(new String(json, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_16LE), "");
        byte[] overlong = json.clone();
        int at = new String(json, StandardCharsets.ISO_8859_1).indexOf("debian");
        overlong[at] = (byte) 0xc0;
        overlong[at + 1] = (byte) 0xaf;
        assertRefused(overlong, "not UTF-8");
        assertRefused(Arrays.copyOf(json, json.length + 1), "");
        assertRefused((new String(json, StandardCharsets.UTF_8) + "{}").getBytes(StandardCharsets.UTF_8),
                "something follows");
    }

    @Test
    void sizeAndDepthAreBoundedBeforeAnythingElse() {
        assertRefused(" ".repeat(10 << 20).getBytes(StandardCharsets.UTF_8), "1048576 bytes");
        assertRefused(("{\"labels\":" + "{\"a\":".repeat(100_000)).getBytes(StandardCharsets.UTF_8), "");
        assertRefused(("{\"format\":1" + "0".repeat(100_000) + "}").getBytes(StandardCharsets.UTF_8), "");
    }

    @Test
    void descriptionsThatNoManifestCanCarryAreRefusedWhenTheyAreMade() {
        SnapshotDescription full = SnapshotDescription.full(Snapshots.LAYOUT);
        assertThatIllegalArgumentException().isThrownBy(() -> full.withImage("a\nb"));
        assertThatIllegalArgumentException().isThrownBy(() -> full.withLabel("", "x"));
        assertThatIllegalArgumentException().isThrownBy(() -> full.withLabel("x", "y".repeat(5000)));
        assertThatIllegalArgumentException().isThrownBy(() -> full.withRequired("No Such"));
        assertThatIllegalArgumentException().isThrownBy(() -> SnapshotFiles.attachment("a/b"));
        assertThatIllegalArgumentException().isThrownBy(() ->
                SnapshotDescription.full(GuestLayout.ofSingleRegion(4096, 1L << 50)));
    }

    private static void assertRefused(byte[] json, String message) {
        assertThatThrownBy(() -> StoredManifest.parse("m", json)).isInstanceOf(DamagedException.class)
                .hasMessageContaining(message);
    }
}
