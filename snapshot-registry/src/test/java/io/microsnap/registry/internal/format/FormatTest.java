package io.microsnap.registry.internal.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdOutputStream;
import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** The format byte for byte, and what is not in it. */
class FormatTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 1000L * PAGE);
    private static final UUID ID = UUID.fromString("00112233-4455-6677-8899-aabbccddeeff");
    private static final Digest DIGEST = Digest.of(new byte[0]);
    private static final int HEADER = 64;
    private static final int PACK = 40;
    private static final int FRAME = 90;

    private static StoredManifest manifest(GuestLayout layout) {
        return new StoredManifest(new SnapshotId("web"), ID, Instant.EPOCH, SnapshotDescription.full(layout), List.of(
                new SnapshotFile("memory.img", layout.lengthBytes(), "root:01020304"),
                new SnapshotFile("memory.idx", 12288, "root:01020304")));
    }

    private static Frame frame(int pack, long offset, int storedBytes, boolean compressed, long used, long... runs) {
        byte[] digest = new byte[32];
        Arrays.fill(digest, (byte) 0xaa);
        byte[] pages = new byte[32];
        Arrays.fill(pages, (byte) 0xbb);
        return new Frame(pack, offset, storedBytes, compressed, used, runs, digest, pages);
    }

    private static byte[] table(List<Pack> packs, Frame... frames) throws IOException {
        try (FrameTableWriter writer = new FrameTableWriter()) {
            for (Frame frame : frames) {
                writer.add(frame);
            }
            Blob blob = writer.finish(manifest(LAYOUT), packs);
            byte[] bytes = writer.stream().readAllBytes();
            assertThat(Digest.of(bytes)).isEqualTo(blob.digest());
            assertThat(blob.lengthBytes()).isEqualTo(bytes.length);
            return bytes;
        }
    }

    private static byte[] example() throws IOException {
        return table(List.of(new Pack(DIGEST, 10_000), new Pack(Digest.of(new byte[1]), 5000)),
                frame(0, 0, 4096, false, 1, 0, 1), frame(0, 5000, 5000, true, 0b101, 300, 2, 310, 1),
                frame(1, 4, 100, true, 0b10, 5, 2));
    }

    private static FrameTable open(byte[] bytes) throws IOException {
        return FrameTable.open("the table", MemorySegment.ofArray(bytes), manifest(LAYOUT));
    }

    @Test
    void aTableHasTheBytesThatTheFormatSays() throws IOException {
        String ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        String ofZero = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        String digests = "aa".repeat(32) + "bb".repeat(32);
        assertThat(HexFormat.of().formatHex(example())).isEqualTo(
                "6d736e617066726d" + "01000000" + "00100000" + "00803e0000000000" + "00112233445566778899aabbccddeeff"
                + "04030201" + "02000000" + "0300000000000000" + "0400000000000000"
                + ofNothing + "1027000000000000" + ofZero + "8813000000000000"
                + "00000000" + "00100000" + "0000000000000000" + "0100000000000000" + "00" + "01" + digests
                + "00" + "01"
                + "00000000" + "88130000" + "8813000000000000" + "0500000000000000" + "01" + "02" + digests
                + "ac02" + "02" + "08" + "01"
                + "01000000" + "64000000" + "0400000000000000" + "0200000000000000" + "01" + "01" + digests
                + "05" + "02");
        List<String> read = new ArrayList<>();
        FrameTable table = open(example());
        table.frames(frame -> frame.eachUsedRun((first, inFrame, count) ->
                read.add(frame.pack() + ":" + frame.offset() + " " + first + "+" + count + "@" + inFrame)));
        assertThat(read).containsExactly("0:0 0+1@0", "0:5000 300+1@0", "0:5000 310+1@2", "1:4 6+1@1");
        assertThat(table.pageCount()).isEqualTo(4);
        assertThat(table.packs()).containsExactly(new Pack(DIGEST, 10_000), new Pack(Digest.of(new byte[1]), 5000));
    }

    private static void refused(String why, UnaryOperator<byte[]> change) throws IOException {
        byte[] changed = change.apply(example());
        assertThatThrownBy(() -> open(changed)).as(why).isInstanceOf(DamagedException.class)
                .hasMessageContaining(why).hasMessageContaining("the table");
    }

    private static byte[] set(byte[] bytes, int at, int... values) {
        for (int index = 0; index < values.length; index++) {
            bytes[at + index] = (byte) values[index];
        }
        return bytes;
    }

    @Test
    void whatIsNotInTheFormatIsRefused() throws IOException {
        int first = HEADER + 2 * PACK;
        int second = first + FRAME + 2;
        int third = second + FRAME + 5;
        refused("has 64 to", bytes -> Arrays.copyOf(bytes, 63));
        refused("does not start", bytes -> set(bytes, 0, 'x'));
        refused("version", bytes -> set(bytes, 8, 2));
        refused("page size", bytes -> set(bytes, 13, 0x20));
        refused("image length", bytes -> set(bytes, 16, 1));
        refused("of the snapshot with uuid", bytes -> set(bytes, 24, 1));
        refused("root", bytes -> set(bytes, 40, 5));
        refused("packs", bytes -> set(bytes, 44, 0, 0, 0, 0x80));
        refused("packs", bytes -> set(bytes, 44, 0xe9, 3));
        refused("too short for", bytes -> set(bytes, 48, 9));
        refused("too short for", bytes -> set(bytes, 55, 0x80));
        refused("number of pages", bytes -> set(bytes, 56, 5));
        refused("pack 0", bytes -> set(bytes, HEADER + 36, 1));
        refused("pack 1 occurs twice", bytes -> {
            System.arraycopy(bytes, HEADER, bytes, HEADER + PACK, 32);
            return bytes;
        });
        refused("frame 0: it is out of order", bytes -> set(bytes, first, 2));
        refused("frame 1: it is out of order", bytes -> set(bytes, first, 1));
        refused("frame 0: 0 bytes", bytes -> set(bytes, first + 4, 0, 0));
        refused("frame 1: 5000 bytes at 4095", bytes -> set(bytes, second + 8, 0xff, 0x0f));
        refused("frame 1: 5000 bytes at 5001", bytes -> set(bytes, second + 8, 0x89));
        refused("frame 1: 5000 bytes at -", bytes -> set(bytes, second + 15, 0xff));
        refused("frame 0: of its 1 pages it gives none", bytes -> set(bytes, first + 16, 0));
        refused("frame 0: of its 1 pages it gives none", bytes -> set(bytes, first + 16, 3));
        refused("encoding", bytes -> set(bytes, first + 24, 2));
        refused("frame 0: it cannot have 0 runs", bytes -> set(bytes, first + 25, 0));
        refused("frame 0: it cannot have 65 runs", bytes -> set(bytes, first + 25, 65));
        refused("frame 0: it cannot have 4096 bytes", bytes -> set(bytes, first + FRAME + 1, 2));
        refused("its runs of pages", bytes -> set(bytes, second + FRAME + 3, 0));
        refused("its runs of pages", bytes -> set(bytes, second + FRAME + 4, 0));
        refused("its runs of pages", bytes -> set(bytes, second + FRAME + 1, 0x7f));
        refused("up to 10", bytes -> set(bytes, second + FRAME, 0xe7, 7));
        refused("shortest form", bytes -> set(bytes, second + FRAME, 0x80, 0));
        refused("too large", bytes -> {
            byte[] longer = Arrays.copyOf(bytes, bytes.length + 20);
            Arrays.fill(longer, third + FRAME, longer.length, (byte) 0xff);
            return longer;
        });
        refused("cut short", bytes -> Arrays.copyOf(bytes, bytes.length - 1));
        refused("follow its last frame", bytes -> Arrays.copyOf(bytes, bytes.length + 1));
        refused("page 6 is given twice", bytes -> set(bytes, first + FRAME, 6));
        refused("no frame is in pack 1", bytes -> {
            byte[] less = Arrays.copyOf(bytes, third);
            return set(set(less, 48, 2), 56, 3);
        });
    }

    @Test
    void aPartialLastPageIsInAFrameAsItIs() throws IOException {
        GuestLayout layout = GuestLayout.ofImportedImage(PAGE, LAYOUT.regions().stream()
                .map(region -> new Region(0, 5 * PAGE + 100)).toList());
        assertThat(frame(0, 0, 1, false, 1, 5, 1).pagesBytes(layout)).isEqualTo(100);
        assertThat(frame(0, 0, 1, false, 1, 0, 1, 4, 2).pagesBytes(layout)).isEqualTo(2 * PAGE + 100);
        assertThat(frame(0, 0, 1, false, 1, 0, 5).pagesBytes(layout)).isEqualTo(5 * PAGE);
    }

    @Test
    void packsGrowWithTheImage() {
        assertThat(Pack.largestBytes(1L << 30)).isEqualTo(32 << 20);
        assertThat(Pack.largestBytes(32L << 30)).isEqualTo(32 << 20);
        assertThat(Pack.largestBytes((32L << 30) + 1)).isEqualTo(48 << 20);
    }

    @Test
    void aFrameThatWouldBecomeHugeIsRefusedWithoutTheRoomForIt() throws IOException {
        ByteArrayOutputStream bomb = new ByteArrayOutputStream();
        try (ZstdOutputStream zstd = new ZstdOutputStream(bomb)) {
            byte[] zeros = new byte[1 << 20];
            for (int mib = 0; mib < 64; mib++) {
                zstd.write(zeros);
            }
        }
        // One that says it has 100 GiB: magic, descriptor with an 8-byte length, window, length, then a block.
        byte[] boasting = HexFormat.of().parseHex("28b52ffd" + "c0" + "88" + "0000000019000000" + "030000" + "00");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment target = arena.allocate(Frame.LARGEST_BYTES);
            for (byte[] hostile : List.of(bomb.toByteArray(), boasting, new byte[0], new byte[10])) {
                MemorySegment stored = arena.allocate(Math.max(1, hostile.length)).asSlice(0, hostile.length);
                MemorySegment.copy(hostile, 0, stored, ValueLayout.JAVA_BYTE, 0, hostile.length);
                assertThat(FrameCompression.decompress(stored, target)).isFalse();
            }
        }
    }

    private static Artifact artifact() {
        TreeMap<String, String> annotations = new TreeMap<>();
        annotations.put("io.microsnap.id", "web");
        List<Blob> layers = new ArrayList<>();
        layers.add(Blob.ofFile(MediaTypes.FRAMES, DIGEST, 5, new Blob.Owner(ID, Blob.Owner.FRAMES)));
        layers.add(Blob.ofFile(MediaTypes.FILE, DIGEST, 6, new Blob.Owner(ID, "memory.idx")));
        layers.add(new Pack(DIGEST, 7).blob());
        return new Artifact(Blob.of(MediaTypes.SNAPSHOT, DIGEST, 4), layers, annotations);
    }

    @Test
    void anArtifactReadsAsItWasWritten() throws IOException {
        byte[] json = artifact().toJson();
        assertThat(Artifact.parse("it", json)).isEqualTo(artifact());
        assertThat(Artifact.isOne("it", json)).isTrue();
        assertThat(new String(json, StandardCharsets.UTF_8)).startsWith("{\"schemaVersion\":2,\"mediaType\":"
                + "\"application/vnd.oci.image.manifest.v1+json\",\"artifactType\":"
                + "\"application/vnd.microsnap.snapshot.v1\",\"config\":{\"mediaType\":"
                + "\"application/vnd.microsnap.manifest.v1+json\",\"digest\":\"" + DIGEST
                + "\",\"size\":4},\"layers\":[{");
        String later = new String(json, StandardCharsets.UTF_8).replace("{\"schemaVersion\"",
                "{\"subject\":{\"a\":[1,{}]},\"schemaVersion\"");
        assertThat(Artifact.parse("it", later.getBytes(StandardCharsets.UTF_8))).isEqualTo(artifact());
    }

    @Test
    void otherManifestsAreRefused() {
        String json = new String(artifact().toJson(), StandardCharsets.UTF_8);
        for (String[] change : new String[][] {
            {"\"schemaVersion\":2", "\"schemaVersion\":1"}, {MediaTypes.MANIFEST, "x"}, {MediaTypes.ARTIFACT, "x"},
            {MediaTypes.SNAPSHOT, "x"}, {"sha256:", "sha512:"}, {"\"size\":4", "\"size\":-4"},
            {"\"size\":4", "\"size\":4,\"size\":4"}, {"\"size\":4", "\"siz\":4"},
            {ID.toString(), "../../../../etc"}, {ID.toString(), "1-2-3-4-5"},
            {"\"io.microsnap.file\":\"frames\",", ""}, {"\"layers\":[", "\"layers\":[" + "{},".repeat(3)}}) {
            byte[] changed = json.replace(change[0], change[1]).getBytes(StandardCharsets.UTF_8);
            assertThat(new String(changed, StandardCharsets.UTF_8)).isNotEqualTo(json);
            assertThatThrownBy(() -> Artifact.parse("it", changed)).as(change[1])
                    .isInstanceOf(DamagedException.class);
        }
        byte[] many = json.replace("\"layers\":[", "\"layers\":[" + ("{\"mediaType\":\"x\",\"digest\":\"" + DIGEST
                + "\",\"size\":1},").repeat(1000)).getBytes(StandardCharsets.UTF_8);
        assertThatThrownBy(() -> Artifact.parse("it", many)).hasMessageContaining("more than the 1000 blobs");
        assertThatThrownBy(() -> Artifact.parse("it", new byte[(4 << 20) + 1])).hasMessageContaining("at most");
    }

    /** Each is refused with a clear error or means something that is in the format; never another exception. */
    @Test
    void mutationsAreRefusedOrHarmless(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] json = artifact().toJson();
        byte[] table = example();
        try (Arena arena = Arena.ofConfined(); FrameCompression compression = new FrameCompression(1)) {
            MemorySegment pages = arena.allocate(16 * PAGE);
            for (int at = 0; at < pages.byteSize(); at += 3) {
                pages.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt(16));
            }
            MemorySegment stored = arena.allocate(FrameCompression.ROOM_BYTES);
            byte[] frame = stored.asSlice(0, compression.compress(pages, stored)).toArray(ValueLayout.JAVA_BYTE);
            MemorySegment target = arena.allocate(16 * PAGE + 8);
            target.asSlice(16 * PAGE).fill((byte) 0x5a);
            int count = Effort.choose(1000, 6000, 34_000);
            for (int mutation = 0; mutation < count; mutation++) {
                byte[] document = mutated(json, random);
                harmless(() -> Artifact.parse("it", document));
                byte[] changed = mutated(table, random);
                harmless(() -> open(changed).frames(next -> next.eachUsedRun((first, inFrame, pagesInRun) -> {
                    assertThat(first).isNotNegative();
                    assertThat(first + pagesInRun).isLessThanOrEqualTo(LAYOUT.pageCount());
                    assertThat((inFrame + pagesInRun) * PAGE).isLessThanOrEqualTo(Frame.LARGEST_BYTES);
                })));
                byte[] hostile = mutated(frame, random);
                MemorySegment input = stored.asSlice(0, Math.min(hostile.length, stored.byteSize()));
                MemorySegment.copy(hostile, 0, input, ValueLayout.JAVA_BYTE, 0, (int) input.byteSize());
                FrameCompression.decompress(input, target.asSlice(0, 16 * PAGE));
                assertThat(target.get(ValueLayout.JAVA_LONG_UNALIGNED, 16 * PAGE)).isEqualTo(0x5a5a5a5a5a5a5a5aL);
            }
        }
    }

    @FunctionalInterface
    private interface Reading {
        void run() throws IOException;
    }

    private static void harmless(Reading reading) throws IOException {
        try {
            reading.run();
        } catch (DamagedException refused) {
            assertThat(refused.getMessage()).hasSizeLessThan(2000);
        }
    }

    private static byte[] mutated(byte[] original, SplittableRandom random) {
        byte[] bytes = original.clone();
        for (int change = random.nextInt(4); change >= 0; change--) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(6)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> bytes = Arrays.copyOf(bytes, at + 1);
                case 3 -> Arrays.fill(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(8)), (byte) -1);
                case 4 -> Arrays.fill(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(8)), (byte) 0);
                default -> {
                    int length = Math.min(bytes.length - at, 1 + random.nextInt(60));
                    int to = random.nextInt(bytes.length - length + 1);
                    System.arraycopy(bytes, at, bytes, to, length);
                }
            }
        }
        return bytes;
    }

    @Test
    void framesAtOneLevelAreTheSameBytes() {
        assertThat(Zstd.maxCompressionLevel()).isGreaterThanOrEqualTo(FrameCompression.HIGHEST_LEVEL);
        try (Arena arena = Arena.ofConfined(); FrameCompression one = new FrameCompression(3);
                FrameCompression other = new FrameCompression(3)) {
            MemorySegment pages = arena.allocate(64 * PAGE);
            for (int at = 0; at < pages.byteSize(); at += 5) {
                pages.set(ValueLayout.JAVA_BYTE, at, (byte) (at * 31));
            }
            MemorySegment first = arena.allocate(FrameCompression.ROOM_BYTES);
            MemorySegment second = arena.allocate(FrameCompression.ROOM_BYTES);
            one.compress(pages.asSlice(0, 7 * PAGE), first);
            int length = one.compress(pages, first);
            assertThat(other.compress(pages, second)).isEqualTo(length);
            assertThat(first.asSlice(0, length).mismatch(second.asSlice(0, length))).isEqualTo(-1);
            MemorySegment back = arena.allocate(64 * PAGE);
            assertThat(FrameCompression.decompress(first.asSlice(0, length), back)).isTrue();
            assertThat(back.mismatch(pages)).isEqualTo(-1);
        }
    }
}
