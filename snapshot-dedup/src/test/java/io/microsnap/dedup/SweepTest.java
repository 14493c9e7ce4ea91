package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;

/**
 * Every system call of a deduplication fails, is cut short, or is the last one of its process. A long run tries them
 * all; others every so many, from a random one on, so that runs one after another come past each.
 */
class SweepTest {
    private static final int LENGTH = 1 << 20;
    private static final int KILLED = 128 + 9;
    private static final int STEP = Effort.choose(60, 40, 1);
    /** Each takes a JVM's start. */
    private static final int KILLING_STEP = Effort.choose(200, 120, 1);

    private final byte[] canonical = TwoImages.bytes(LENGTH, 1);
    private final byte[] target = Bakery.changed(canonical, 25, new SplittableRandom(3));

    @RealFileSystems({XFS, BTRFS})
    void whateverFailsTheTargetIsWholeAndNothingIsLeftBehind(Path directory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (Engine engine : Engine.values()) {
            for (Errno errno : List.of(Errno.EIO, Errno.ENOSPC, Errno.EINTR)) {
                sweep(directory, random, engine, errno.name(), (faulty, call) -> faulty.at(call).fails(errno));
            }
            sweep(directory, random, engine, "short", (faulty, call) -> faulty.at(call).fallsShort());
            sweep(directory, random, engine, "zero", (faulty, call) -> faulty.at(call).transfersNothing());
        }
    }

    /** As if the process were killed before the call: nothing after it happens, not even cleaning up. */
    @RealFileSystems({XFS, BTRFS})
    void whereverItDiesTheTargetIsWholeAndTheNextRunRemovesWhatIsLeft(Path directory, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        for (Engine engine : Engine.values()) {
            int calls = calls(directory, engine);
            for (int call = 1 + random.nextInt(STEP); call <= calls; call += STEP) {
                TwoImages images = TwoImages.of(directory, canonical, target);
                FaultyPosix faulty = FaultyPosix.host().deadFrom(call);
                try {
                    run(faulty.posix(), images, engine);
                } catch (FaultyPosix.Dead dead) {
                    assertThat(dead).hasMessageContaining("dead");
                } finally {
                    faulty.bury();
                }
                String what = engine + ", dead from call " + call + " of " + calls;
                assertThat(images.target).as(what).hasBinaryContent(target);
                assertThat(images.canonical).as(what).hasBinaryContent(canonical);
                run(Posix.host(), images, Engine.CLONE_AND_SWAP);
                assertThat(images.target).as(what + ", then again").hasBinaryContent(target);
                assertThat(FileDeduplicatorTest.namesIn(directory)).as(what)
                        .containsExactlyInAnyOrder("canonical", "target");
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void killedForRealInAStoreItIsWholeAndTheNextToOpenItTidiesUp(
            Path directory, ChildProcesses children, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", canonical);
            Bakery.bake(store, "fresh", target);
        }
        for (Engine engine : Engine.values()) {
            boolean killed = true;
            for (int call = 1 + random.nextInt(KILLING_STEP); killed; call += KILLING_STEP) {
                ChildProcess child =
                        children.java(Killed.class, directory.toString(), engine.name(), Integer.toString(call));
                int status = child.awaitExit().status();
                assertThat(status).as(child.toString()).isIn(0, KILLED);
                killed = status == KILLED;
                try (DirectoryStore store = Bakery.store(directory)) {
                    String what = engine + ", killed at call " + call;
                    assertThat(Bakery.image(store, "fresh")).as(what).isEqualTo(target);
                    assertThat(Bakery.image(store, "old")).as(what).isEqualTo(canonical);
                    try (StoredSnapshot held = store.hold(Bakery.id("fresh"))) {
                        held.verifyFiles();
                    }
                    assertThat(directory.resolve("store/.staging").toFile().list()).as(what).isEmpty();
                    if (!killed) {
                        store.delete(Bakery.id("fresh"));
                        Bakery.bake(store, "fresh", target);
                    }
                }
            }
        }
    }

    private void sweep(Path directory, SplittableRandom random, Engine engine, String fault,
            BiConsumer<FaultyPosix, Integer> plan) throws IOException {
        int calls = calls(directory, engine);
        for (int call = 1 + random.nextInt(STEP); call <= calls; call += STEP) {
            TwoImages images = TwoImages.of(directory, canonical, target);
            FaultyPosix faulty = FaultyPosix.host();
            plan.accept(faulty, call);
            String what = engine + ", call " + call + " of " + calls + ": " + fault;
            String outcome;
            try {
                outcome = run(faulty.posix(), images, engine).toString();
            } catch (IOException expected) {
                outcome = expected.toString();
            }
            assertThat(images.target).as(what + ": " + outcome).hasBinaryContent(target);
            assertThat(images.canonical).as(what).hasBinaryContent(canonical);
            assertThat(faulty.openDescriptors()).as(what + ": " + outcome).isEmpty();
            // What could not be removed because the removal itself failed is left to the next one.
            run(Posix.host(), images, Engine.CLONE_AND_SWAP);
            assertThat(FileDeduplicatorTest.namesIn(directory)).as(what + ": " + outcome)
                    .containsExactlyInAnyOrder("canonical", "target");
            assertThat(images.target).as(what + ", then again").hasBinaryContent(target);
            Files.delete(images.target);
        }
    }

    private int calls(Path directory, Engine engine) throws IOException {
        FaultyPosix counting = FaultyPosix.host();
        run(counting.posix(), TwoImages.of(directory, canonical, target), engine);
        return counting.calls();
    }

    private static DedupOutcome run(Posix posix, TwoImages images, Engine engine) throws IOException {
        return new FileDeduplicator(posix).deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS
                .with(engine).with(FragmentationPolicy.DEFAULT.sharingEverything()).withThreads(1));
    }

    /** Deduplicates in a store until a system call kills it. */
    static final class Killed {
        private Killed() {
        }

        public static void main(String[] arguments) throws IOException {
            Posix host = Posix.host();
            FaultyPosix killing = FaultyPosix.over(host).at(Integer.parseInt(arguments[2])).killsTheProcess();
            try (DirectoryStore store = Bakery.store(killing.posix(), Path.of(arguments[0]))) {
                new Deduplicator(store).deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                        DedupOptions.DEFAULTS.with(Engine.valueOf(arguments[1])).withThreads(1));
            }
        }
    }
}
