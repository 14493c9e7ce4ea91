package io.microsnap.registry;

import static io.microsnap.registry.Guests.changed;
import static io.microsnap.registry.Guests.guest;
import static io.microsnap.registry.Guests.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Verification;
import io.microsnap.registry.FaultProxy.Harm;
import io.microsnap.registry.internal.client.Patience;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Harm at any byte between client and registry, death of either, a full disk: never a wrong or visible half. */
@Execution(ExecutionMode.CONCURRENT)
class FaultTest {
    private static final List<Harm> HARMS = List.of(Harm.values());
    private static final int PAGES = 300;
    private static final long MOST_REPEATED_BYTES = 4 << 20;
    private static final Patience PERSISTENT = new Patience(3, Duration.ofMillis(1), Duration.ofMillis(5),
            Duration.ofSeconds(20), 1 << 10);
    private static final Patience ONCE = new Patience(1, Duration.ofMillis(1), Duration.ofMillis(5),
            Duration.ofSeconds(20), 1 << 10);

    @TempDir
    private Path directory;
    private RegistryServer server;

    @BeforeEach
    void start(ChildProcesses processes) throws IOException {
        server = RegistryServer.start(processes, directory);
    }

    private DirectoryStore store(String name) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve(name), StoreOptions.PRIVATE);
    }

    private PushResult push(DirectoryStore from, String name, String host, String repository, Patience patience)
            throws IOException {
        RegistryReference reference = RegistryReference.parse(host + "/" + repository + ":" + name);
        try (RemoteRepository remote = RemoteRepository.open(reference.repository(),
                RegistryOptions.DEFAULTS.with(patience))) {
            return Push.of(from, id(name)).threads(1).to(remote, reference);
        }
    }

    private PullResult pull(DirectoryStore to, String name, String host, String repository, Patience patience)
            throws IOException {
        RegistryReference reference = RegistryReference.parse(host + "/" + repository + ":" + name);
        try (RemoteRepository remote = RemoteRepository.open(reference.repository(),
                RegistryOptions.DEFAULTS.with(patience))) {
            return Pull.of(to, id(name)).transfers(2).from(remote, reference);
        }
    }

    @Test
    @Timeout(value = 1, unit = TimeUnit.HOURS) // A long run has hundreds of points.
    void harmAtAnyByteOfAPullGivesTheSnapshotOrAnErrorAndTheNextPullGoesOn(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 40, random);
        byte[] later = changed(base, 10, random);
        try (DirectoryStore from = store("from")) {
            Guests.full(from, "base", base);
            Guests.diff(from, "later", "base", later);
            push(from, "later", server.host(), "guests", PERSISTENT);
        }
        List<Long> places;
        try (FaultProxy quiet = new FaultProxy(server.host(), -1, Harm.CUT); DirectoryStore to = store("measured")) {
            pull(to, "later", quiet.host(), "guests", PERSISTENT);
            places = places(quiet, random);
        }
        for (int point = 0; point < places.size(); point++) {
            Harm harm = HARMS.get(point % HARMS.size());
            String name = "to-" + point;
            try (FaultProxy proxy = new FaultProxy(server.host(), places.get(point), harm);
                    DirectoryStore to = store(name)) {
                try {
                    pull(to, "later", proxy.host(), "guests", point % 2 == 0 ? PERSISTENT : ONCE);
                    assertThat(to.list()).hasSize(2);
                } catch (IOException expected) {
                    assertThat(expected).hasMessageNotContaining("null");
                }
                requireEachWhole(to);
                pull(to, "later", server.host(), "guests", PERSISTENT);
                requireContent(to, "base", base);
                requireContent(to, "later", later);
            }
        }
    }

    @Test
    @Timeout(value = 1, unit = TimeUnit.HOURS) // A long run has hundreds of points.
    void harmAtAnyByteOfAPushGivesTheArtifactOrAnErrorAndTheNextPushGoesOn(Seed seed) throws Exception {
        SplittableRandom random = seed.random();
        byte[] base = guest(PAGES, 40, random);
        byte[] later = changed(base, 10, random);
        try (DirectoryStore from = store("from")) {
            Guests.full(from, "base", base);
            Guests.diff(from, "later", "base", later);
            List<Long> places;
            try (FaultProxy quiet = new FaultProxy(server.host(), -1, Harm.CUT)) {
                push(from, "later", quiet.host(), "measured", PERSISTENT);
                places = places(quiet, random);
            }
            // Beside each other: a push that fails waits before it tries again.
            List<Callable<Void>> pushes = new ArrayList<>();
            for (int point = 0; point < places.size(); point++) {
                int number = point;
                pushes.add(() -> {
                    pushHarmedAt(number, places.get(number), from, base, later);
                    return null;
                });
            }
            try (ExecutorService threads = Executors.newFixedThreadPool(3)) {
                for (Future<Void> push : threads.invokeAll(pushes)) {
                    push.get();
                }
            }
        }
    }

    private void pushHarmedAt(int number, long place, DirectoryStore from, byte[] base, byte[] later)
            throws IOException {
        Harm harm = HARMS.get(number % HARMS.size());
        String repository = "guests" + number;
        boolean pushed = false;
        try (FaultProxy proxy = new FaultProxy(server.host(), place, harm)) {
            push(from, "later", proxy.host(), repository, number % 2 == 0 ? PERSISTENT : ONCE);
            pushed = true;
        } catch (IOException expected) {
            assertThat(expected).hasMessageNotContaining("null");
        }
        if (pushed) {
            requirePulled(repository, "first-" + number, base, later);
        }
        push(from, "later", server.host(), repository, PERSISTENT);
        requirePulled(repository, "second-" + number, base, later);
    }

    /** Anywhere, and at requests: at each of them in a long run. */
    private static List<Long> places(FaultProxy quiet, SplittableRandom random) {
        List<Long> places = new ArrayList<>();
        int step = Effort.choose(8, 8, 1);
        for (int request = random.nextInt(step); request < quiet.requests().size(); request += step) {
            places.add(quiet.requests().get(request));
        }
        random.longs(Effort.choose(4, 8, 250), 0, quiet.passedBytes()).forEach(places::add);
        return places;
    }

    private void requirePulled(String repository, String name, byte[] base, byte[] later) throws IOException {
        try (DirectoryStore to = store(name)) {
            pull(to, "later", server.host(), repository, PERSISTENT);
            requireContent(to, "base", base);
            requireContent(to, "later", later);
        }
    }

    private static void requireEachWhole(DirectoryStore store) throws IOException {
        for (SnapshotEntry entry : store.list()) {
            assertThat(entry).isInstanceOf(SnapshotEntry.Whole.class);
            try (StoredSnapshot held = store.hold(id(entry.name()))) {
                Verification.of(held, 1, Progress.NONE).requireWhole();
            }
        }
    }

    private static void requireContent(DirectoryStore store, String name, byte[] guest) throws IOException {
        try (StoredSnapshot held = store.hold(id(name))) {
            assertThat(Guests.content(held)).isEqualTo(guest);
        }
    }

    @Test
    void aPullThatIsEndedMidwayFetchesOnlyTheRestWhenItIsMadeAgain(Seed seed) throws IOException {
        byte[] guest = guest(16_000, 0, seed.random());
        try (DirectoryStore from = store("from"); DirectoryStore to = store("to")) {
            Guests.full(from, "web", guest);
            push(from, "web", server.host(), "guests", PERSISTENT);
            long[] reached = new long[1];
            RegistryReference reference = server.reference("guests", "web");
            try (RemoteRepository remote = RemoteRepository.open(reference.repository(),
                    RegistryOptions.DEFAULTS.with(PERSISTENT))) {
                Pull ended = Pull.of(to, id("web")).transfers(1).progress((done, total) -> {
                    reached[0] = done;
                    if (done > total * 2 / 3) {
                        throw new CancelledException("enough");
                    }
                });
                assertThatThrownBy(() -> ended.from(remote, reference)).isInstanceOf(CancelledException.class);
            }
            assertThat(to.list()).isEmpty();
            PullResult rest = pull(to, "web", server.host(), "guests", PERSISTENT);
            assertThat(rest.localBytes()).isGreaterThan(guest.length / 2);
            // What is fetched again: the files beside the image, and at most what was under way.
            assertThat(rest.localBytes() + MOST_REPEATED_BYTES * 2 + (1 << 20)).isGreaterThan(reached[0]);
            Guests.requireWhole(to, "web", guest);
            assertThat(directory.resolve("to/.partial")).isEmptyDirectory();
        }
    }

    /** Pulls in a process of its own, which is killed. */
    static final class Puller {
        private Puller() {
        }

        public static void main(String[] arguments) throws IOException {
            RegistryReference reference = RegistryReference.parse(arguments[1]);
            try (DirectoryStore to = DirectoryStore.openOrCreate(Posix.host(), Path.of(arguments[0]),
                    StoreOptions.PRIVATE);
                    RemoteRepository remote = RemoteRepository.open(reference.repository(), RegistryOptions.DEFAULTS)) {
                boolean[] half = {false};
                Pull.of(to, id("web")).transfers(1).progress((done, total) -> {
                    if (done > total / 2 && !half[0]) {
                        half[0] = true;
                        System.out.println("half");
                        // Until it is killed.
                        new Semaphore(0).acquireUninterruptibly();
                    }
                }).from(remote, reference);
            }
        }
    }

    @Test
    void aKilledPullLeavesNothingVisibleAndIsGoneOnWith(Seed seed, ChildProcesses processes) throws IOException {
        byte[] guest = guest(8000, 0, seed.random());
        try (DirectoryStore from = store("from")) {
            Guests.full(from, "web", guest);
            push(from, "web", server.host(), "guests", PERSISTENT);
        }
        ChildProcess puller = processes.java(Puller.class, directory.resolve("to").toString(),
                server.reference("guests", "web").toString());
        puller.awaitLine("half");
        assertThat(puller.kill().wasKilled()).isTrue();
        try (DirectoryStore to = store("to")) {
            assertThat(to.list()).isEmpty();
            assertThat(pull(to, "web", server.host(), "guests", PERSISTENT).localBytes())
                    .isGreaterThan(guest.length / 4);
            Guests.requireWhole(to, "web", guest);
        }
    }

    @Test
    void aFullDiskIsSaidAndTheNextPullGoesOn(Seed seed, @TinyFileSystem Path tiny) throws IOException {
        byte[] guest = guest(1500, 0, seed.random());
        Path ballast = Files.write(tiny.resolve("ballast"), new byte[6 << 20]);
        try (DirectoryStore from = store("from"); DirectoryStore to = DirectoryStore.openOrCreate(Posix.host(),
                tiny.resolve("store"), StoreOptions.PRIVATE)) {
            Guests.full(from, "web", guest);
            push(from, "web", server.host(), "guests", PERSISTENT);
            assertThatThrownBy(() -> {
                Files.write(tiny.resolve("more"), new byte[(int) (tiny.toFile().getUsableSpace() - (3 << 20))]);
                pull(to, "web", server.host(), "guests", PERSISTENT);
            }).hasMessageContaining("ENOSPC");
            assertThat(to.list()).isEmpty();
            Files.delete(ballast);
            Files.deleteIfExists(tiny.resolve("more"));
            PullResult rest = pull(to, "web", server.host(), "guests", PERSISTENT);
            assertThat(rest.localBytes()).isPositive();
            Guests.requireWhole(to, "web", guest);
        }
    }

    @Test
    void aRegistryThatGoesAwayMidwayIsSaidAndNothingIsTagged(Seed seed, ChildProcesses processes) throws IOException {
        byte[] guest = guest(3000, 0, seed.random());
        try (DirectoryStore from = store("from")) {
            Guests.full(from, "web", guest);
            boolean[] killed = {false};
            RegistryReference reference = server.reference("guests", "web");
            try (RemoteRepository remote = RemoteRepository.open(reference.repository(),
                    RegistryOptions.DEFAULTS.with(PERSISTENT))) {
                assertThatThrownBy(() -> Push.of(from, id("web")).progress((done, total) -> {
                    if (done > total / 2 && !killed[0]) {
                        killed[0] = true;
                        server.kill();
                    }
                }).to(remote, reference)).hasMessageContaining("cannot reach " + server.host());
            }
            assertThat(killed[0]).isTrue();
        }
    }
}
