package io.microsnap.registry;

import static io.microsnap.registry.Guests.changed;
import static io.microsnap.registry.Guests.guest;
import static io.microsnap.registry.Guests.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.registry.internal.client.Body;
import io.microsnap.registry.internal.client.Patience;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Snapshots of every kind through a real registry: pushed, pulled, shared; nothing twice. */
@Execution(ExecutionMode.CONCURRENT)
class PushPullTest {
    static final Patience QUICK = new Patience(3, Duration.ofMillis(1), Duration.ofMillis(5), Duration.ofSeconds(20),
            1 << 10);
    private static final int PAGES = 800;

    @TempDir
    private Path directory;
    private DirectoryStore from;
    private DirectoryStore to;
    private RegistryServer server;
    private RemoteRepository remote;

    @BeforeEach
    void start(ChildProcesses processes) throws IOException {
        from = store("from");
        to = store("to");
        server = RegistryServer.start(processes, directory);
        remote = RemoteRepository.open(server.repository("team/guests"), RegistryOptions.DEFAULTS.with(QUICK));
    }

    @AfterEach
    void close() {
        remote.close();
        from.close();
        to.close();
    }

    private DirectoryStore store(String name) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve(name), StoreOptions.PRIVATE);
    }

    private RegistryReference tag(String tag) {
        return server.reference("team/guests", tag);
    }

    private PushResult push(String name) throws IOException {
        return Push.of(from, id(name)).to(remote, tag(name));
    }

    private PullResult pull(String name) throws IOException {
        return Pull.of(to, id(name)).from(remote, tag(name));
    }

    @Test
    void aFullSnapshotComesBackByteForByte(Seed seed) throws IOException {
        byte[] guest = guest(PAGES, 60, seed.random());
        StoredManifest made = Guests.full(from, "web", guest);
        PushResult pushed = push("web");
        PullResult pulled = pull("web");
        assertThat(pulled.digest()).isEqualTo(pushed.digest());
        assertThat(pulled.published()).containsExactly(made.reference());
        assertThat(to.inspect(id("web"))).isEqualTo(made);
        Guests.requireWhole(to, "web", guest);
        Guests.requireSparse(to, "web", guest);
        assertThat(directory.resolve("to/.partial")).isEmptyDirectory();
        assertThat(pull("web").published()).isEmpty();
    }

    @Test
    void theSameSnapshotIsSentOnceAndHasOneDigestWhateverTheThreads(Seed seed) throws IOException {
        Guests.full(from, "web", guest(PAGES, 30, seed.random()));
        PushResult first = Push.of(from, id("web")).threads(1).transfers(1).to(remote, tag("web"));
        PushResult second = Push.of(from, id("web")).threads(5).transfers(4).to(remote, tag("web"));
        assertThat(first.sentBytes()).isPositive();
        assertThat(second.sentBytes()).isZero();
        assertThat(second.digest()).isEqualTo(first.digest());
    }

    @Test
    void aChainOfFiveIsWholeInOneTagAndPulledBaseFirst(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        List<byte[]> guests = new ArrayList<>(List.of(guest(PAGES, 50, random)));
        List<StoredManifest> made = new ArrayList<>(List.of(Guests.full(from, "s0", guests.getFirst())));
        for (int link = 1; link < 5; link++) {
            guests.add(changed(guests.getLast(), 5, random));
            made.add(Guests.diff(from, "s" + link, "s" + (link - 1), guests.getLast()));
        }
        assertThat(push("s4").pushed()).isEqualTo(made.stream().map(StoredManifest::reference).toList());
        PullResult pulled = pull("s4");
        assertThat(pulled.published()).isEqualTo(made.stream().map(StoredManifest::reference).toList());
        for (int link = 0; link < 5; link++) {
            Guests.requireWhole(to, "s" + link, guests.get(link));
        }
    }

    @Test
    void aDiffSendsItsOwnPagesAndFetchesThemOnly(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 30, random);
        byte[] later = changed(base, 4, random);
        Guests.full(from, "base", base);
        long whole = push("base").sentBytes();
        assertThat(pull("base").receivedBytes()).isPositive();
        Guests.diff(from, "later", "base", later);
        PushResult pushed = push("later");
        assertThat(pushed.pushed()).hasSize(1);
        assertThat(pushed.sentBytes()).isLessThan(whole / 8);
        PullResult pulled = pull("later");
        assertThat(pulled.published()).hasSize(1);
        assertThat(pulled.receivedBytes()).isLessThan(whole / 8);
        Guests.requireWhole(to, "later", later);
    }

    @Test
    void aCloneOfItsBaseNamesThePacksOfTheBase(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 30, random);
        byte[] later = changed(base, 4, random);
        StoredManifest baked = Guests.full(from, "base", base);
        Guests.onto(from, "later", "base", later);
        // The base is sent first, for the registry does not have it; then only what differs.
        PushResult pushed = push("later");
        assertThat(pushed.pushed()).hasSize(2);
        assertThat(pushed.donor()).contains(baked.reference());
        PullResult pulled = pull("later");
        assertThat(pulled.published()).as("the base is not required").hasSize(1);
        Guests.requireWhole(to, "later", later);
        Guests.requireSparse(to, "later", later);

        // With the base in the store, its pages come from there.
        try (DirectoryStore third = store("third")) {
            RegistryReference byUuid = tag("uuid-" + baked.uuid());
            long all = Pull.of(third, id("base")).from(remote, byUuid).receivedBytes();
            PullResult rest = Pull.of(third, id("later")).from(remote, tag("later"));
            assertThat(rest.receivedBytes()).isLessThan(all / 8);
            Guests.requireWhole(third, "later", later);
        }
    }

    @Test
    void aCloneWhoseBaseIsGoneFromTheStoreStillUsesItsPacks(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 30, random);
        byte[] later = changed(base, 4, random);
        Guests.full(from, "base", base);
        long whole = push("base").sentBytes();
        Guests.onto(from, "later", "base", later);
        from.delete(id("base"));
        assertThat(push("later").sentBytes()).isLessThan(whole / 8);
        pull("later");
        Guests.requireWhole(to, "later", later);
    }

    @Test
    void theSecondOfTwoSiblingsSendsAndFetchesLittleMoreThanItsOwnPages(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] one = guest(6000, 50, random);
        byte[] two = changed(one, 5, random);
        StoredManifest first = Guests.full(from, "one", one);
        long sentFirst = push("one").sentBytes();
        pull("one");
        StoredManifest second = Guests.full(from, "two", two);
        long files = second.files().stream().filter(file -> !file.name().equals("memory.img"))
                .mapToLong(file -> file.lengthBytes()).sum();
        byte[] unique = new byte[one.length];
        for (int at = 0; at < one.length; at += Guests.PAGE) {
            if (Arrays.mismatch(one, at, at + Guests.PAGE, two, at, at + Guests.PAGE) >= 0) {
                System.arraycopy(two, at, unique, at, Guests.PAGE);
            }
        }
        Guests.full(from, "unique", unique);
        long uniqueBytes;
        try (RemoteRepository elsewhere = RemoteRepository.open(server.repository("elsewhere"),
                RegistryOptions.DEFAULTS.with(QUICK))) {
            PushResult alone = Push.of(from, id("unique")).to(elsewhere, server.reference("elsewhere", "unique"));
            uniqueBytes = alone.sentBytes() - files - 4096;
        }
        from.delete(id("unique"));
        PushResult pushed = push("two");
        assertThat(pushed.donor()).contains(first.reference());
        // Beside the pages: index, machine state, attachment, manifest; and the frame table, which names every frame.
        long aside = files + 4096 + tableBytes(one);
        assertThat(pushed.sentBytes() - aside).isLessThanOrEqualTo((long) (1.1 * uniqueBytes));
        assertThat(pushed.sentBytes()).isLessThan(sentFirst / 4);
        PullResult pulled = pull("two");
        assertThat(pulled.receivedBytes() - aside).isLessThanOrEqualTo((long) (1.1 * uniqueBytes));
        Guests.requireWhole(to, "two", two);
    }

    private static long tableBytes(byte[] guest) {
        return guest.length / (256 << 10) * 230L + 4096;
    }

    @Test
    void pagesWithTheSameChecksumAreNotTakenForEachOther(Seed seed) throws IOException {
        byte[] one = guest(300, 0, seed.random());
        Arrays.fill(one, 200 * Guests.PAGE, 201 * Guests.PAGE, (byte) 0);
        byte[] two = one.clone();
        collide(two, 70);
        // This one has the checksum of zeros.
        collide(two, 200);
        StoredManifest first = Guests.full(from, "one", one);
        push("one");
        pull("one");
        Guests.full(from, "two", two);
        assertThat(push("two").donor()).contains(first.reference());
        pull("two");
        Guests.requireWhole(to, "two", two);
    }

    /** Changes a page so that its CRC32C stays: by the polynomial itself, the first of whose bits is the lowest. */
    private static void collide(byte[] guest, int page) {
        long polynomial = 0x11EDC6F41L;
        for (int bit = 0; bit <= 32; bit++) {
            if (((polynomial >>> (32 - bit)) & 1) != 0) {
                guest[page * Guests.PAGE + 100 + bit / 8] ^= (byte) (1 << (bit % 8));
            }
        }
    }

    @Test
    void blobsAreMountedFromAnotherRepository(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 30, random);
        byte[] later = changed(base, 4, random);
        Guests.full(from, "base", base);
        Guests.diff(from, "later", "base", later);
        long whole = push("base").sentBytes();
        RegistryReference there = server.reference("other", "later");
        try (RemoteRepository other = RemoteRepository.open(server.repository("other"),
                RegistryOptions.DEFAULTS.with(QUICK))) {
            PushResult pushed = Push.of(from, id("later")).mountFrom("team/guests").to(other, there);
            assertThat(pushed.sentBytes()).isLessThan(whole / 8);
            Pull.of(to, id("later")).from(other, there);
        }
        Guests.requireWhole(to, "later", later);
    }

    @Test
    void blobsThatWereCollectedAreSentAgain(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 30, random);
        Guests.full(from, "base", base);
        push("base");
        String pack = packs("base").getFirst();
        server.collect("team/guests", pack);
        byte[] later = changed(base, 4, random);
        Guests.diff(from, "later", "base", later);
        assertThat(push("later").pushed()).as("the base is pushed again").hasSize(2);
        assertThat(server.blob(pack)).exists();
        pull("later");
        Guests.requireWhole(to, "later", later);
    }

    private List<String> packs(String tag) throws IOException {
        byte[] manifest = remote.client().manifest(tag).orElseThrow().bytes();
        return Artifact.parse(tag, manifest).layers().stream()
                .filter(layer -> layer.owner().isEmpty()).map(layer -> layer.digest().toString()).toList();
    }

    @Test
    void anArtifactIsFoundByItsDigestAndAnotherDigestIsRefused(Seed seed) throws IOException {
        byte[] guest = guest(300, 30, seed.random());
        Guests.full(from, "web", guest);
        String digest = push("web").digest();
        RegistryReference right = new RegistryReference(remote.name(), Optional.empty(),
                Optional.of(digest));
        Pull.of(to, id("web")).from(remote, right);
        Guests.requireWhole(to, "web", guest);
        RegistryReference wrong = new RegistryReference(remote.name(), Optional.of("wrong"),
                Optional.of("sha256:" + "0".repeat(64)));
        assertThatThrownBy(() -> Push.of(from, id("web")).to(remote, wrong)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("no tag was set");
        assertThat(remote.client().tags()).doesNotContain("wrong");
        assertThatThrownBy(() -> Pull.of(to, id("other")).from(remote, wrong))
                .isInstanceOf(NoSuchFileException.class);
        assertThat(Push.of(from, id("web")).to(remote, right).digest()).isEqualTo(digest);
    }

    @Test
    void aSnapshotMayHaveAnotherNameHereAndATakenNameIsLeftAlone(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] guest = guest(300, 30, random);
        StoredManifest made = Guests.full(from, "web", guest);
        push("web");
        Pull.of(to, id("mine")).from(remote, tag("web"));
        assertThat(to.inspect(id("mine")).uuid()).isEqualTo(made.uuid());
        Guests.requireWhole(to, "mine", guest);
        Guests.full(to, "web", guest);
        assertThatThrownBy(() -> pull("web")).isInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContaining("another --id");
        assertThat(to.list()).hasSize(2);
    }

    @Test
    void theListNamesSnapshotsAndNothingElse(Seed seed) throws IOException {
        StoredManifest made = Guests.full(from, "web", guest(300, 30, seed.random()));
        PushResult pushed = push("web");
        remote.client().upload(Blob.of("x",
                Digest.of(new byte[] {'{', '}'}), 2),
                Body.of(new byte[] {'{', '}'}), List.of());
        String image = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
                + "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":2,\"digest\":\""
                + Digest.of(new byte[] {'{', '}'}) + "\"},\"layers\":[]}";
        remote.client().putManifest("image", image.getBytes(StandardCharsets.UTF_8));
        assertThat(remote.list()).containsExactly(new RemoteEntry("web", pushed.digest(), made,
                pushed.lengthBytes()));
        assertThatThrownBy(() -> Pull.of(to, id("image")).from(remote, tag("image")))
                .isInstanceOf(DamagedException.class).hasMessageContaining("is not a snapshot");
        assertThatThrownBy(() -> pull("nothing")).isInstanceOf(NoSuchFileException.class)
                .hasMessageContaining("remote list");
    }

    @Test
    void anEmptyGuestHasNoPacks(Seed seed) throws IOException {
        Guests.full(from, "web", new byte[64 * Guests.PAGE]);
        push("web");
        assertThat(packs("web")).isEmpty();
        pull("web");
        Guests.requireWhole(to, "web", new byte[64 * Guests.PAGE]);
    }

    @Test
    void aDamagedImageIsNotPushed(Seed seed) throws IOException {
        byte[] guest = guest(300, 0, seed.random());
        Guests.full(from, "web", guest);
        Path image = directory.resolve("from/web/memory.img");
        image.toFile().setWritable(true);
        byte[] bytes = Files.readAllBytes(image);
        bytes[77 * Guests.PAGE + 5] ^= 1;
        Files.write(image, bytes);
        assertThatThrownBy(() -> push("web")).isInstanceOf(DamagedException.class).hasMessageContaining("page 77");
        Files.write(image, new byte[bytes.length]);
        assertThatThrownBy(() -> push("web")).isInstanceOf(DamagedException.class).hasMessageContaining("page 0");
        assertThatThrownBy(() -> remote.list()).hasMessageContaining("there is no repository");
    }
}
