package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupReport;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.Engine;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.CopiedAhead;
import io.microsnap.memory.CopyAhead;
import io.microsnap.memory.Prefetch;
import io.microsnap.memory.Prefetched;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.WorkingSetRecording;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
        name = "demo",
        mixinStandardHelpOptions = true,
        description = "Demonstrates microsnap on a guest of its own: takes snapshots while it runs, deduplicates a"
                + " sibling, and restores each in a fresh machine that continues.",
        footerHeading = "%n",
        footer = "Example: microsnap demo --ram 1G --dirty 2%%")
final class Demo extends CliCommand {
    private static final long SMALLEST_RAM = 8 << 20;
    private static final long LARGEST_RAM = 64L << 30;
    private static final long DUMP_BYTES = 4 << 20;
    private static final long XFS_OVERHEAD = 512 << 20;
    private static final int SNAPSHOTS = 5;
    /** During a round of copying ahead the guest writes one part in this many of what it writes between snapshots. */
    private static final long PART_WRITTEN_MEANWHILE = 16;
    private static final String IMAGE = "demo";
    private static final String AT_ONCE = "demo-3";
    private static final String AHEAD = "demo-ahead";

    enum Guest { KVM, SIMULATED }

    @Option(names = "--store", paramLabel = "DIR",
            description = "Keep the snapshots in this store; without it a temporary one, removed at the end.")
    private Path directory;

    @Option(names = "--ram", paramLabel = "SIZE", defaultValue = "512M",
            description = "The guest's memory (default: ${DEFAULT-VALUE}).")
    private String ram;

    @Option(names = "--dirty", paramLabel = "PERCENT", defaultValue = "5%",
            description = "How much of it the guest writes between snapshots (default: 5%%).")
    private String dirty;

    @Option(names = "--guest", paramLabel = "KIND",
            description = "kvm: a real one, or fail; simulated: a thread that writes memory. Default: KVM if usable.")
    private Guest kind;

    @Option(names = "--xfs", description = "Make a small XFS for the run, and remove it again. Needs root.")
    private boolean xfs;

    @Override
    int run(Console console) throws IOException {
        long ramBytes = ramBytes();
        double fraction = dirtyFraction();
        if (xfs && directory != null) {
            throw usage("--xfs makes a temporary store; leave out --store");
        }
        if (directory != null) {
            return run(console, directory, ramBytes, fraction);
        }
        Path temporary = Files.createTempDirectory("microsnap-demo-");
        if (xfs) {
            try (ScratchXfs made = ScratchXfs.mount(temporary, (SNAPSHOTS + 1) * ramBytes + XFS_OVERHEAD)) {
                return run(console, made.directory().resolve("store"), ramBytes, fraction);
            }
        }
        try {
            return run(console, temporary.resolve("store"), ramBytes, fraction);
        } finally {
            remove(temporary);
        }
    }

    private int run(Console console, Path place, long ramBytes, double fraction) throws IOException {
        try (DemoGuest.Factory factory = factory(console);
                DirectoryStore store = DirectoryStore.openOrCreate(console.posix(), place, StoreOptions.PRIVATE)) {
            Report report = new Report(console, factory.name(), fileSystem(console.posix(), place),
                    new Reflink().probe(console.posix(), place).isCloned(), ramBytes);
            report.begin();
            List<Captured> snapshots = bake(console, factory, store, place, fraction, report);
            Optional<DedupReport> dedup = deduplicate(store, snapshots, report);
            for (Captured snapshot : snapshots) {
                for (RestoreEngine engine : RestoreEngine.values()) {
                    console.interruption().check();
                    restore(factory, store, snapshot, engine, report);
                }
            }
            console.interruption().check();
            report.cold(coldStarts(factory, store, snapshots.getFirst(), fraction));
            report.end(dedup, directory);
            return report.ok() ? ExitStatus.OK : ExitStatus.DAMAGED;
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted", interrupted);
        }
    }

    /** A snapshot, and how far the guest had counted in it. */
    private record Captured(SnapshotId id, long counter) {
    }

    private List<Captured> bake(Console console, DemoGuest.Factory factory, DirectoryStore store, Path place,
            double fraction, Report report) throws IOException, InterruptedException {
        List<Captured> snapshots = new ArrayList<>();
        try (DemoGuest guest = factory.boot(report.ramBytes())) {
            PageReader reader = guest.reader();
            long few = few(reader.layout(), fraction);
            guest.runFor(guest.workingPages());
            report.plainDump(dump(console, guest, place));
            snapshots.add(capture(console, guest, store, "demo-1", CaptureKind.FULL, report));
            guest.runFor(few);
            snapshots.add(capture(console, guest, store, "demo-2", CaptureKind.AUTOMATIC, report));
            guest.runFor(few);
            snapshots.add(capture(console, guest, store, AT_ONCE, CaptureKind.AUTOMATIC, report));
            guest.runFor(few);
            snapshots.add(captureAhead(console, guest, store, few, report));
            guest.runFor(few);
            snapshots.add(capture(console, guest, store, "demo-sibling", CaptureKind.FULL, report));
        }
        return snapshots;
    }

    private static Captured capture(Console console, DemoGuest guest, DirectoryStore store, String name,
            CaptureKind kind, Report report) throws IOException {
        return take(console, guest, name, report,
                Capture.of(store, new SnapshotId(name), guest.reader()).tracker(guest.tracker()).kind(kind));
    }

    /** Captures with copying ahead; the guest runs a little during each round. */
    private static Captured captureAhead(Console console, DemoGuest guest, DirectoryStore store, long few,
            Report report) throws IOException {
        long[] meanwhile = {few};
        CopyAhead ahead = CopyAhead.usual().listener((round, written) -> {
            console.interruption().check();
            meanwhile[0] = Math.max(1, meanwhile[0] / PART_WRITTEN_MEANWHILE);
            guest.runFor(meanwhile[0]);
            return true;
        });
        return take(console, guest, AHEAD, report, Capture.of(store, new SnapshotId(AHEAD), guest.reader())
                .tracker(guest.tracker()).copyAhead(ahead));
    }

    private static Captured take(Console console, DemoGuest guest, String name, Report report, Capture capture)
            throws IOException {
        console.interruption().check();
        Counting counting = new Counting(guest);
        CaptureResult result;
        try (ProgressLine progress = console.progress(name)) {
            result = capture.imageName(IMAGE).bakerVersion("demo")
                    // Deduplication is shown as a separate step.
                    .withoutSharing().progress(progress).take(counting);
        }
        report.captured(name, result);
        return new Captured(new SnapshotId(name), counting.counter());
    }

    /** Measures the plain way: pause, write all of memory to a file, sync, resume. */
    private static Duration[] dump(Console console, DemoGuest guest, Path place) throws IOException {
        Constants constants = console.posix().constants();
        Path file = place.resolveSibling(place.getFileName() + "-plain-dump");
        PageReader reader = guest.reader();
        long length = reader.layout().lengthBytes();
        try (Arena arena = Arena.ofConfined(); Descriptor dump = Descriptor.open(console.posix(), file,
                constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0600)) {
            MemorySegment buffer = arena.allocate(DUMP_BYTES);
            long start = System.nanoTime();
            long resumed;
            guest.pause();
            try {
                for (long offset = 0; offset < length; offset += DUMP_BYTES) {
                    console.interruption().check();
                    MemorySegment piece = buffer.asSlice(0, Math.min(DUMP_BYTES, length - offset));
                    reader.read(offset, piece);
                    dump.writeFully(piece, offset);
                }
            } finally {
                guest.resume();
                resumed = System.nanoTime();
            }
            dump.sync();
            return new Duration[] {Duration.ofNanos(resumed - start), Duration.ofNanos(System.nanoTime() - resumed)};
        } finally {
            Files.deleteIfExists(file);
        }
    }

    private static Optional<DedupReport> deduplicate(DirectoryStore store, List<Captured> snapshots, Report report)
            throws IOException {
        SnapshotId sibling = snapshots.getLast().id();
        // So small a guest changes too large a part of its memory for the default limit of extents.
        DedupOptions options = DedupOptions.DEFAULTS.with(FragmentationPolicy.DEFAULT.sharingEverything());
        DedupOutcome outcome = new Deduplicator(store).deduplicate(sibling, SiblingPolicy.MOST_ALIKE, options);
        return switch (outcome) {
            case DedupOutcome.Deduplicated done -> Optional.of(done.report());
            case DedupOutcome.LeftAlone leftAlone -> {
                report.notDeduplicated(leftAlone.explanation());
                yield Optional.empty();
            }
            case DedupOutcome.Failed failed ->
                    throw new SnapshotException("deduplicating " + sibling + " failed", failed.cause());
        };
    }

    private static void restore(DemoGuest.Factory factory, DirectoryStore store, Captured snapshot,
            RestoreEngine engine, Report report) throws IOException, InterruptedException {
        long start = System.nanoTime();
        RestoredSnapshot restored = Restore.of(store, snapshot.id()).restore(engine);
        Duration took = Duration.ofNanos(System.nanoTime() - start);
        try (DemoGuest guest = factory.restore(restored)) {
            boolean samePlace = guest.counter() == snapshot.counter();
            guest.runFor(1);
            boolean whole = guest.checksItself();
            report.restored(snapshot.id(), engine.name().toLowerCase(Locale.ROOT), took, whole, samePlace);
        }
    }

    /** The times of a cold start until the guest has done some work, without and with a working set. */
    private record ColdStarts(long pages, Duration without, Duration with, Prefetched ahead, boolean ok) {
    }

    private static ColdStarts coldStarts(DemoGuest.Factory factory, DirectoryStore store, Captured snapshot,
            double fraction) throws IOException, InterruptedException {
        try (StoredSnapshot held = store.hold(snapshot.id())) {
            long pages = few(held.layout(), fraction);
            RestoredSnapshot recorded = Restore.of(held).recordable().restore(RestoreEngine.LAZY);
            WorkingSetRecording recording = recorded.recordWorkingSet();
            try (DemoGuest guest = factory.restore(recorded)) {
                guest.runFor(pages);
                recording.save();
            }
        }
        // Opened again, because it reads the recorded set only once.
        try (StoredSnapshot held = store.hold(snapshot.id())) {
            Descriptor image = held.image();
            long pages = few(held.layout(), fraction);
            Work work = new Work(image, pages, snapshot.counter());
            Started without = start(factory, Restore.of(held).prefetch(Prefetch.NONE), work);
            Started with = start(factory, Restore.of(held), work);
            return new ColdStarts(pages, without.took, with.took, with.ahead, without.ok && with.ok);
        }
    }

    private static long few(GuestLayout layout, double fraction) {
        long pages = layout.pageCount();
        return Math.max(1, (long) (pages * fraction));
    }

    private record Work(Descriptor image, long pages, long counter) {
    }

    private record Started(Duration took, Prefetched ahead, boolean ok) {
    }

    private static Started start(DemoGuest.Factory factory, Restore restore, Work work)
            throws IOException, InterruptedException {
        Posix posix = work.image.posix();
        posix.posix_fadvise(work.image.number(), 0, 0, posix.constants().POSIX_FADV_DONTNEED);
        long start = System.nanoTime();
        RestoredSnapshot restored = restore.restore(RestoreEngine.LAZY);
        try (DemoGuest guest = factory.restore(restored)) {
            boolean samePlace = guest.counter() == work.counter;
            guest.runFor(work.pages);
            Duration took = Duration.ofNanos(System.nanoTime() - start);
            return new Started(took, restored.prefetched(), samePlace && guest.checksItself());
        }
    }

    /** Notes how far the guest has counted while it is paused to be captured. */
    private static final class Counting implements PausableMachine {
        private final DemoGuest guest;
        private long counter;

        Counting(DemoGuest guest) {
            this.guest = guest;
        }

        long counter() {
            return counter;
        }

        @Override
        public void pause() throws IOException {
            guest.pause();
            counter = guest.counter();
        }

        @Override
        public List<MachineStateSection> saveState() throws IOException {
            return guest.saveState();
        }

        @Override
        public void resume() throws IOException {
            guest.resume();
        }
    }

    private DemoGuest.Factory factory(Console console) throws IOException {
        if (kind == Guest.SIMULATED) {
            return SimulatedDemoGuest.factory(console.posix());
        }
        if (console.posix().constants().operatingSystem() != OperatingSystem.LINUX && kind == null) {
            return SimulatedDemoGuest.factory(console.posix());
        }
        try {
            return KvmDemoGuest.factory(console.posix());
        } catch (IOException unusable) {
            if (kind == Guest.KVM) {
                throw unusable;
            }
            console.remark("No KVM here, so the guest is simulated: " + Failure.of(unusable).message());
            return SimulatedDemoGuest.factory(console.posix());
        }
    }

    private long ramBytes() {
        long bytes;
        try {
            bytes = Sizes.parseBytes(ram);
        } catch (IllegalArgumentException notASize) {
            throw usage("--ram: " + notASize.getMessage());
        }
        if (bytes < SMALLEST_RAM || bytes > LARGEST_RAM || bytes % (2 << 20) != 0) {
            throw usage("--ram: " + ram + "; a multiple of 2M from " + Sizes.bytes(SMALLEST_RAM) + " to "
                    + Sizes.bytes(LARGEST_RAM));
        }
        return bytes;
    }

    private double dirtyFraction() {
        try {
            double percent = Double.parseDouble(dirty.endsWith("%") ? dirty.substring(0, dirty.length() - 1) : dirty);
            if (percent > 0 && percent <= 100) {
                return percent / 100;
            }
        } catch (NumberFormatException notANumber) {
            throw usage("--dirty: '" + dirty + "' is not a percentage, such as 5%");
        }
        throw usage("--dirty: " + dirty + " is not above 0% and at most 100%");
    }

    private static String fileSystem(Posix posix, Path place) throws IOException {
        Constants constants = posix.constants();
        try (Descriptor directory =
                Descriptor.open(posix, place, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            return FileSystems.name(constants, directory.fileSystem().type());
        }
    }

    private static void remove(Path directory) throws IOException {
        try (Stream<Path> tree = Files.walk(directory)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    /** The demo's report: step by step for a person, all at once for a program. */
    private static final class Report {
        private final Console console;
        private final String guest;
        private final String fileSystem;
        private final boolean reflink;
        private final long ramBytes;
        private final Table steps = new Table("STEP", "KIND", ">RAM", ">WRITTEN", ">AHEAD", ">PAUSE", ">DURABLE AFTER");
        private final Map<String, Duration> pauses = new HashMap<>();
        private final Table restores = new Table("RESTORED", "ENGINE", ">AFTER", "MEMORY", "GUEST");
        private final List<Document> stepDocuments = new ArrayList<>();
        private final List<Document> restoreDocuments = new ArrayList<>();
        private Optional<ColdStarts> cold = Optional.empty();
        private String whyNotDeduplicated = "";
        private boolean ok = true;

        Report(Console console, String guest, String fileSystem, boolean reflink, long ramBytes) {
            this.console = console;
            this.guest = guest;
            this.fileSystem = fileSystem;
            this.reflink = reflink;
            this.ramBytes = ramBytes;
        }

        long ramBytes() {
            return ramBytes;
        }

        boolean ok() {
            return ok;
        }

        void begin() {
            console.say((guest.equals("kvm") ? "A real guest on KVM" : "A simulated guest (threads that write memory)")
                    + " with " + Sizes.bytes(ramBytes) + " of RAM, a store on " + fileSystem
                    + (reflink ? ", which shares blocks." : ", which cannot share blocks."));
        }

        void plainDump(Duration[] times) {
            steps.row("a plain dump", "", Sizes.bytes(ramBytes), Sizes.bytes(ramBytes), "", Sizes.time(times[0]),
                    Sizes.time(times[1]));
            stepDocuments.add(document("a plain dump", "dump", times[0], times[1]).put("bytes_written", ramBytes)
                    .put("pages", ramBytes / console.posix().getpagesize()).put("copied_ahead", null));
        }

        void captured(String name, CaptureResult result) {
            Duration pause = result.times().pause();
            Duration durable = result.times().publish();
            pauses.put(name, pause);
            String kind = result.kind().name().toLowerCase(Locale.ROOT);
            Optional<CopiedAhead> ahead = result.copiedAhead();
            long pages = result.memory().pagesRecorded() + ahead.map(CopiedAhead::pagesCopied).orElse(0L)
                    - ahead.map(CopiedAhead::pagesAgain).orElse(0L);
            stepDocuments.add(document(name, kind, pause, durable).put("bytes_written", result.bytesWritten())
                    .put("pages", pages).put("copied_ahead", ahead.map(Report::document)));
            steps.row(name, kind.replace('_', ' '), Sizes.bytes(ramBytes), Sizes.bytes(result.bytesWritten()),
                    ahead.map(copied -> Sizes.bytes(copied.bytesCopied())).orElse(""), Sizes.time(pause),
                    Sizes.time(durable));
        }

        private static Document document(String name, String kind, Duration pause, Duration durable) {
            return new Document().put("name", name).put("kind", kind).put("pause_ms", pause)
                    .put("durable_ms", durable);
        }

        private static Document document(CopiedAhead ahead) {
            return new Document().put("rounds", ahead.rounds()).put("bytes_written", ahead.bytesCopied())
                    .put("pages", ahead.pagesCopied()).put("pages_again", ahead.pagesAgain())
                    .put("ended", ahead.ended().name().toLowerCase(Locale.ROOT)).put("ms", ahead.time());
        }

        void notDeduplicated(String why) {
            whyNotDeduplicated = why;
        }

        void cold(ColdStarts starts) {
            ok &= starts.ok;
            cold = Optional.of(starts);
        }

        private static Document document(ColdStarts starts) {
            return new Document().put("pages", starts.pages).put("without_ms", starts.without)
                    .put("with_ms", starts.with).put("prefetched_bytes", starts.ahead.readBytes());
        }

        private static String describe(ColdStarts starts) {
            return "With a cold cache demo-1, restored lazily, had written " + starts.pages + " pages after "
                    + Sizes.time(starts.without) + "; after " + Sizes.time(starts.with) + " with its working set, "
                    + Sizes.bytes(starts.ahead.readBytes()) + ", read ahead.";
        }

        void restored(SnapshotId id, String engine, Duration took, boolean whole, boolean continued) {
            ok &= whole && continued;
            restoreDocuments.add(new Document().put("snapshot", id).put("engine", engine).put("restore_ms", took)
                    .put("verified", whole).put("guest_continued", continued));
            restores.row(id.name(), engine, Sizes.time(took), whole ? "whole" : "WRONG",
                    continued ? "continues" : "LOST ITS PLACE");
        }

        void end(Optional<DedupReport> dedup, Path kept) {
            Document shared = dedup.map(report -> new Document()
                    .put("engine", report.engine().map(Engine::name).map(name -> name.toLowerCase(Locale.ROOT)))
                    .put("pages_equal", report.pages().equal()).put("pages_written", report.pages().written())
                    .put("ms", report.time().total())).orElse(null);
            console.report(new Document().put("guest", guest).put("filesystem", fileSystem).put("reflink", reflink)
                    .put("ram_bytes", ramBytes).put("steps", stepDocuments).put("restores", restoreDocuments)
                    .put("cold", cold.map(Report::document)).put("dedup", shared).put("ok", ok));
            console.say("");
            console.say(steps);
            console.say(AHEAD + " was copied while the guest ran, and paused it for "
                    + Sizes.time(pauses.get(AHEAD)) + "; " + AT_ONCE + ", which had written as much, for "
                    + Sizes.time(pauses.get(AT_ONCE)) + ".");
            console.say("");
            console.say(dedup.map(Report::describe).orElse("demo-sibling was not deduplicated: "
                    + (reflink ? whyNotDeduplicated : fileSystem + " cannot share blocks.")));
            console.say("");
            console.say(restores);
            console.say("");
            cold.ifPresent(starts -> console.say(describe(starts)));
            console.say(ok ? "Every guest found its memory intact and continued where it was."
                    : "SOMETHING IS WRONG: see above.");
            console.say(kept == null
                    ? "Try next: microsnap demo --store demo-store, then microsnap list --store demo-store"
                    : "Try next: microsnap inspect --store " + kept + " --id demo-2");
        }

        private static String describe(DedupReport report) {
            return "demo-sibling shares " + Sizes.bytes(report.sharedBytes()) + " with "
                    + report.sibling().map(sibling -> sibling.reference().id().name()).orElse("another") + " now: "
                    + report.pages().equal() + " pages equal, " + report.pages().different() + " different, in "
                    + Sizes.time(report.time().total()) + ".";
        }
    }
}
