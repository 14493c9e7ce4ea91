package io.microsnap.registry;

import static io.microsnap.registry.Guests.changed;
import static io.microsnap.registry.Guests.guest;
import static io.microsnap.registry.Guests.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameTable;
import io.microsnap.registry.internal.format.FrameTableWriter;
import io.microsnap.registry.internal.format.Pack;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Artifacts that are not what they seem: each is refused, nothing of it is visible, and the next pull is whole. */
class LyingRegistryTest {
    @TempDir
    private Path directory;
    private StandInRegistry registry;
    private RemoteRepository remote;
    private DirectoryStore from;
    private DirectoryStore to;
    private byte[] guest;
    private StoredManifest base;
    private StoredManifest web;
    private String digest;

    @BeforeEach
    void push(Seed seed) throws IOException {
        registry = new StandInRegistry();
        remote = RemoteRepository.open(registry.repository(), RegistryOptions.DEFAULTS.with(PushPullTest.QUICK));
        from = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("from"), StoreOptions.PRIVATE);
        to = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("to"), StoreOptions.PRIVATE);
        SplittableRandom random = seed.random();
        byte[] first = guest(200, 10, random);
        // Its first two frames are full.
        for (int page = 0; page < 2 * Long.SIZE; page++) {
            Guests.fillPage(first, page, random);
        }
        guest = changed(first, 20, random);
        base = Guests.full(from, "base", first);
        web = Guests.diff(from, "web", "base", guest);
        digest = Push.of(from, id("web")).to(remote, registry.tag("web")).digest();
    }

    @AfterEach
    void close() {
        remote.close();
        registry.close();
        from.close();
        to.close();
    }

    private Artifact artifact() throws IOException {
        return Artifact.parse("it", registry.manifests.get(digest));
    }

    private void tag(Artifact artifact) {
        registry.manifests.put("web", artifact.toJson());
    }

    /** With other layers: each layer as the change makes it, none where it makes null. */
    private void tagWith(UnaryOperator<Blob> change) throws IOException {
        List<Blob> layers = new ArrayList<>();
        for (Blob layer : artifact().layers()) {
            Blob changed = change.apply(layer);
            if (changed != null) {
                layers.add(changed);
            }
        }
        tag(new Artifact(artifact().config(), layers, artifact().annotations()));
    }

    private void refused(String why) throws IOException {
        assertThatThrownBy(() -> Pull.of(to, id("web")).from(remote, registry.tag("web"))).as(why)
                .isInstanceOf(SnapshotException.class).hasMessageContaining(why);
        assertThat(to.list()).noneMatch(entry -> entry.name().equals("web"));
    }

    private void healthyAgain() throws IOException {
        registry.manifests.put("web", registry.manifests.get(digest));
        healthyPull();
    }

    private void healthyPull() throws IOException {
        Pull.of(to, id("web")).from(remote, registry.tag("web"));
        Guests.requireWhole(to, "web", guest);
    }

    private static boolean is(Blob layer, StoredManifest owner, String file) {
        return layer.owner().equals(Optional.of(new Blob.Owner(owner.uuid(), file)));
    }

    private Blob find(StoredManifest owner, String file) throws IOException {
        return artifact().layers().stream().filter(layer -> is(layer, owner, file)).findFirst().orElseThrow();
    }

    private Blob replaced(Blob blob, byte[] content) {
        return new Blob(blob.mediaType(), Digest.parse(registry.put(content)), content.length, blob.owner());
    }

    @Test
    void aBlobThatIsCollectedBeforeTheManifestIsThereIsSentAgain() throws IOException {
        String pack = artifact().layers().getLast().digest().toString();
        registry.manifests.clear();
        boolean[] collected = {false};
        registry.lie = exchange -> {
            boolean stores = exchange.getRequestMethod().equals("PUT")
                    && exchange.getRequestURI().getPath().contains("/manifests/");
            if (!stores || collected[0]) {
                return false;
            }
            collected[0] = true;
            registry.blobs.remove(pack);
            StandInRegistry.reply(exchange, 400, "{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\"}]}");
            return true;
        };
        assertThat(Push.of(from, id("web")).to(remote, registry.tag("web")).digest()).isEqualTo(digest);
        assertThat(registry.blobs).containsKey(pack);
        Pull.of(to, id("web")).from(remote, registry.tag("web"));
        Guests.requireWhole(to, "web", guest);
    }

    @Test
    void aBaseThatIsMissingOrAnotherIsRefused() throws IOException {
        tagWith(layer -> is(layer, base, "snapshot.json") ? null : layer);
        refused("is incomplete");
        StoredManifest other = new StoredManifest(
                base.id(), base.uuid(), base.created(), base.description(), base.files())
                .withId(id("other"));
        tagWith(layer -> is(layer, base, "snapshot.json") ? replaced(layer, other.toJson()) : layer);
        refused("as a base where");
        tagWith(layer -> is(layer, base, "frames") ? null : layer);
        refused("no frame table");
        tagWith(layer -> is(layer, base, "memory.idx") ? null : layer);
        refused("memory.idx");
        healthyAgain();
    }

    @Test
    void basesInACircleAreRefused() throws IOException {
        // The base requires the snapshot that requires it.
        List<SnapshotFile> files = new ArrayList<>(base.files());
        files.add(web.file("memory.map").orElseThrow());
        byte[] circular = new StoredManifest(base.id(), base.uuid(), base.created(),
                SnapshotDescription.diff(base.layout(), web.reference()), files).toJson();
        Blob map = find(web, "memory.map");
        tagWith(layer -> is(layer, base, "snapshot.json") ? replaced(layer, circular) : layer);
        Artifact tagged = Artifact.parse("it", registry.manifests.get("web"));
        List<Blob> layers = new ArrayList<>(tagged.layers());
        layers.add(Blob.ofFile(map.mediaType(), map.digest(), map.lengthBytes(),
                new Blob.Owner(base.uuid(), "memory.map")));
        tag(new Artifact(tagged.config(), layers, tagged.annotations()));
        refused("or occurs twice");
    }

    @Test
    void filesThatAreNotTheManifestsAreRefused() throws IOException {
        tagWith(layer -> is(layer, web, "memory.map") ? replaced(layer, new byte[10]) : layer);
        refused("memory.map");
        byte[] index = registry.blobs.get(find(base, "memory.idx").digest().toString()).clone();
        tagWith(layer -> is(layer, web, "memory.idx") ? replaced(layer, index) : layer);
        refused("root");
        index[100] ^= 1;
        tagWith(layer -> is(layer, web, "memory.idx") ? replaced(layer, index) : layer);
        refused("not an intact page index");
        tagWith(layer -> is(layer, base, "machine.bin") ? new Blob(layer.mediaType(), layer.digest(),
                layer.lengthBytes() + 1, layer.owner()) : layer);
        refused("machine.bin");
        tagWith(layer -> is(layer, base, "machine.bin") ? new Blob(layer.mediaType(), layer.digest(),
                layer.lengthBytes(), Optional.of(new Blob.Owner(base.uuid(), "../../escaped"))) : layer);
        refused("machine.bin");
        byte[] config = new String(web.toJson(), StandardCharsets.UTF_8).replace("\"memory.map\"", "\"../map\"")
                .getBytes(StandardCharsets.UTF_8);
        tag(new Artifact(new Blob(artifact().config().mediaType(), Digest.parse(registry.put(config)), config.length,
                Optional.empty()), artifact().layers(), artifact().annotations()));
        refused("snapshot.json");
        assertThat(directory.resolve("escaped")).doesNotExist();
        healthyAgain();
    }

    @Test
    void aBlobOfAnotherLengthThanTheArtifactSaysIsRefused() throws IOException {
        tagWith(layer -> is(layer, base, "frames") ? new Blob(layer.mediaType(), layer.digest(),
                layer.lengthBytes() - 1, layer.owner()) : layer);
        refused("sends more than");
        tagWith(layer -> is(layer, base, "frames") ? new Blob(layer.mediaType(), layer.digest(),
                layer.lengthBytes() + 1, layer.owner()) : layer);
        refused("bytes were sent");
        tagWith(layer -> layer.owner().isEmpty() ? new Blob(layer.mediaType(), layer.digest(), 65 << 20,
                layer.owner()) : layer);
        refused("is no pack");
        healthyAgain();
    }

    @Test
    void bytesOfAPackThatAreNotItsOwnAreRefusedBeforeTheyAreDecompressed() throws IOException {
        // The base's come last, and are pulled first.
        for (Blob pack : artifact().layers().stream().filter(layer -> layer.owner().isEmpty()).toList().reversed()) {
            byte[] content = registry.blobs.get(pack.digest().toString());
            byte[] changed = content.clone();
            changed[changed.length / 2] ^= 0x10;
            registry.blobs.put(pack.digest().toString(), changed);
            refused("other bytes than those of the frame");
            registry.blobs.put(pack.digest().toString(), content);
        }
        healthyAgain();
    }

    /** The base's table with other frames. */
    private void tagTable(UnaryOperator<Frame> change, UnaryOperator<List<Pack>> packs) throws IOException {
        byte[] bytes = registry.blobs.get(find(base, "frames").digest().toString());
        FrameTable table = FrameTable.open("it", MemorySegment.ofArray(bytes), base);
        try (FrameTableWriter writer = new FrameTableWriter()) {
            table.frames(frame -> {
                Frame changed = change.apply(frame);
                if (changed != null) {
                    writer.add(changed);
                }
            });
            writer.finish(base, packs.apply(table.packs()));
            byte[] made = writer.stream().readAllBytes();
            tagWith(layer -> is(layer, base, "frames") ? replaced(layer, made) : layer);
        }
    }

    @Test
    void aTableThatGivesWrongPagesOrTooFewIsRefused() throws IOException {
        tagTable(frame -> {
            long used = frame.used() & (frame.used() - 1);
            return used == 0 ? null : frame.with(frame.pack(), used);
        }, packs -> packs);
        refused("does not give page");
        tagTable(frame -> {
            if (frame.pageCount() < Long.SIZE) {
                // Of a short frame its length alone would tell.
                return frame;
            }
            long[] runs = frame.runs().clone();
            // Shorter by a page at the front: every page moves by one.
            runs[1]--;
            runs[0]++;
            return new Frame(frame.pack(), frame.offset(), frame.storedBytes(),
                    frame.compressed(), frame.used() >>> 1, runs, frame.storedDigest(), frame.pagesDigest());
        }, packs -> packs);
        refused("does not decompress to the");
        // Two frames of as many pages, each at the other's place.
        List<Frame> frames = new ArrayList<>();
        tagTable(frame -> {
            frames.add(frame);
            return frame;
        }, packs -> packs);
        assertThat(frames.get(0).pageCount()).isEqualTo(frames.get(1).pageCount());
        tagTable(frame -> {
            int place = (int) frames.stream().takeWhile(known -> known.offset() != frame.offset()).count();
            Frame other = place < 2 ? frames.get(1 - place) : frame;
            return new Frame(frame.pack(), frame.offset(), frame.storedBytes(), frame.compressed(), other.used(),
                    other.runs(), frame.storedDigest(), frame.pagesDigest());
        }, packs -> packs);
        refused("does not match the page index");
        healthyAgain();
    }

    @Test
    void aManifestThatIsChangedOnItsWayIsSentAgainAndNeverTakenForPushed() throws IOException {
        AtomicInteger changes = new AtomicInteger(2);
        registry.lie = exchange -> {
            String path = exchange.getRequestURI().getPath();
            if (!exchange.getRequestMethod().equals("PUT") || !path.endsWith("/manifests/web")
                    || changes.getAndDecrement() <= 0) {
                return false;
            }
            String sent = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            registry.store(exchange, "web", sent.replace("\"digest\"", "\"digesu\"").getBytes(StandardCharsets.UTF_8));
            return true;
        };
        Push.of(from, id("web")).to(remote, registry.tag("web"));
        healthyPull();

        changes.set(Integer.MAX_VALUE);
        assertThatThrownBy(() -> Push.of(from, id("web")).to(remote, registry.tag("web")))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("but " + digest + " was sent");
        registry.lie = exchange -> false;
        Push.of(from, id("web")).to(remote, registry.tag("web"));
        healthyPull();
    }

    @Test
    void aFrameThatBecomesHugeIsRefused() throws IOException {
        byte[] bomb = Zstd.compress(new byte[256 << 20]);
        Pack huge = new Pack(Digest.parse(registry.put(bomb)), bomb.length);
        boolean[] first = {true};
        tagTable(frame -> {
            if (!first[0]) {
                return null;
            }
            first[0] = false;
            return new Frame(0, 0, bomb.length, true, frame.used(), frame.runs(), huge.digest().bytes(),
                    frame.pagesDigest());
        }, packs -> List.of(huge));
        tagWithPack(huge);
        refused("does not decompress to the");
        healthyAgain();
    }

    private void tagWithPack(Pack pack) throws IOException {
        Artifact tagged = Artifact.parse("it", registry.manifests.get("web"));
        List<Blob> layers = new ArrayList<>(tagged.layers());
        layers.add(pack.blob());
        tag(new Artifact(tagged.config(), layers, tagged.annotations()));
    }

    @Test
    void aDiffWhoseTableGivesPagesOfItsBaseIsRefused() throws IOException {
        byte[] bytes = registry.blobs.get(find(base, "frames").digest().toString());
        FrameTable table = FrameTable.open("it", MemorySegment.ofArray(bytes), base);
        try (FrameTableWriter writer = new FrameTableWriter()) {
            table.frames(writer::add);
            writer.finish(web, table.packs());
            byte[] made = writer.stream().readAllBytes();
            tagWith(layer -> is(layer, web, "frames") ? replaced(layer, made) : layer);
        }
        refused("leaves to the base");
        healthyAgain();
    }
}
