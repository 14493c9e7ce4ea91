package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.DedupeOutcome;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.file.StagedFile;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.hvf.Hvf;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        description = "Shows what this machine and a directory's filesystem offer, what each feature is for, and how"
                + " to get missing ones. Leaves nothing behind.",
        footerHeading = "%n",
        footer = "Example: microsnap doctor /var/lib/snapshots")
final class Doctor extends CliCommand {
    private static final long PROBE_BYTES = 1 << 20;

    @Parameters(arity = "0..1", paramLabel = "DIR", defaultValue = ".",
            description = "The directory for snapshots (default: the current one).")
    private Path directory;

    private final List<Document> documents = new ArrayList<>();

    @Override
    int run(Console console) throws IOException {
        Posix posix = console.posix();
        jvm(console);
        memory(console, posix);
        hypervisor(console, posix);
        pageMapScan(console, posix);
        fileSystem(console, posix);
        console.report(new Document().put("directory", directory).put("findings", documents));
        return ExitStatus.OK;
    }

    private void found(Console console, String what, boolean good, String value, String meaning, String remedy) {
        documents.add(new Document().put("what", what).put("ok", good).put("value", value).put("meaning", meaning)
                .put("remedy", good ? null : remedy));
        console.say(good ? "ok       " : "missing  ", what + ": " + value);
        console.say("         ", meaning);
        if (!good) {
            console.say("         ", "to get it: " + remedy);
        }
    }

    private void jvm(Console console) {
        found(console, "java", Runtime.version().feature() >= 25, Runtime.version().toString(),
                "system calls are made through the foreign function interface of JDK 25",
                "install a JDK 25 and set JAVA25_HOME");
        boolean exported = Object.class.getModule().isExported("jdk.internal.misc", Doctor.class.getModule());
        found(console, "flags", exported && Doctor.class.getModule().isNativeAccessEnabled(),
                exported ? "native access and exports are on" : "missing",
                "programs that use the library need --enable-native-access=ALL-UNNAMED and"
                        + " --add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
                "start it as ./microsnap does, or with java -jar microsnap.jar");
    }

    private void memory(Console console, Posix posix) {
        found(console, "page size", true, Sizes.bytes(posix.getpagesize()), "the unit of every image, map and index",
                "");
        String huge = firstLine(Path.of("/sys/kernel/mm/transparent_hugepage/enabled"));
        found(console, "transparent huge pages", huge.contains("[always]") || huge.contains("[madvise]"),
                huge.isEmpty() ? "not known" : huge, "eager restores into huge pages touch memory faster",
                "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
        String reserved = firstLine(Path.of("/proc/sys/vm/nr_hugepages"));
        found(console, "reserved huge pages", !reserved.isEmpty() && !reserved.equals("0"),
                reserved.isEmpty() ? "not known" : reserved, "guests may be restored into a pool of huge pages",
                "sysctl vm.nr_hugepages=N, if you want them");
        String mappings = firstLine(Path.of("/proc/sys/vm/max_map_count"));
        found(console, "mappings", !mappings.isEmpty(), mappings.isEmpty() ? "not known" : mappings,
                "the most mappings of a process; lazily restored chains of diffs take one for each run of pages",
                "sysctl vm.max_map_count=N");
    }

    /** Linux has KVM, macOS Hypervisor.framework. */
    void hypervisor(Console console, Posix posix) {
        if (posix.constants().operatingSystem() == OperatingSystem.MACOS) {
            hvf(console);
        } else {
            kvm(console);
        }
    }

    private void hvf(Console console) {
        String meaning = "guests run on it, and write protection tracks their writes";
        try {
            Hvf hvf = Hvf.open();
            hvf.probe();
            found(console, "Hypervisor.framework", true, "of macOS build " + hvf.osBuild()
                    + (hvf.missing().isEmpty() ? "" : ", without " + String.join(", ", new TreeSet<>(hvf.missing()))),
                    meaning, "");
        } catch (IOException unusable) {
            found(console, "Hypervisor.framework", false, Failure.of(unusable).message(), meaning,
                    "docs/running-on-macos.md has the commands");
        }
    }

    private void kvm(Console console) {
        try (Kvm kvm = Kvm.open()) {
            found(console, "KVM", true, "/dev/kvm opens", "guests run on it, and it tracks their writes", "");
            for (DirtyTracking tracking : List.of(DirtyTracking.MANUAL_CLEAR, DirtyTracking.RING)) {
                boolean offered = kvm.offers(tracking);
                found(console, "KVM dirty tracking " + tracking, offered, offered ? "offered" : "not offered",
                        tracking == DirtyTracking.RING
                                ? "tracks guests' writes in rings: the cost depends on the pages written"
                                : "tracks guests' writes without delaying guests when it is read",
                        "use a newer kernel; KVM's plain dirty log is used meanwhile");
            }
        } catch (IOException unusable) {
            found(console, "KVM", false, Failure.of(unusable).message(), "guests run on it", "see above");
        }
    }

    private void pageMapScan(Console console, Posix posix) throws IOException {
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return;
        }
        GuestLayout layout = GuestLayout.ofSingleRegion(posix.getpagesize(), PROBE_BYTES);
        try (GuestRam memory = GuestRam.anonymous(posix, layout, HugePages.NONE);
                DirtySource source = DirtySource.ofPageMap(memory)) {
            source.arm();
            source.disarm();
            found(console, "page-map scan", true, "works for this user",
                    "tracks a process's writes to a mapping without its hypervisor's help", "");
        } catch (IOException unavailable) {
            found(console, "page-map scan", false, Failure.of(unavailable).message(),
                    "tracks a process's writes to a mapping without its hypervisor's help",
                    "Linux 6.7 or newer; a container may forbid userfaultfd");
        }
    }

    private void fileSystem(Console console, Posix posix) throws IOException {
        Constants constants = posix.constants();
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            FileSystemStat stat = open.fileSystem();
            found(console, "filesystem", true, FileSystems.name(constants, stat.type()) + ", "
                    + Sizes.bytes(stat.availableBytes()) + " free", "where " + directory + " is", "");
            Reflink reflink = new Reflink();
            ReflinkOutcome clones = reflink.probe(open);
            found(console, "clones", clones.isCloned(),
                    clones instanceof ReflinkOutcome.Unsupported no ? no.reason() : "files can share blocks",
                    "a snapshot onto its base stores only changes, and is complete",
                    "keep the store on XFS (mkfs.xfs -m reflink=1), btrfs or APFS; diffs are used meanwhile");
            holes(console, posix);
            sharing(console, posix, reflink);
        }
    }

    private void holes(Console console, Posix posix) throws IOException {
        try (StagedFile file = StagedFile.create(posix, directory.resolve("microsnap-doctor"));
                Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(posix.getpagesize()).fill((byte) 1);
            file.descriptor().truncate(PROBE_BYTES);
            file.descriptor().writeFully(page, PROBE_BYTES / 2);
            AtomicLong data = new AtomicLong();
            boolean told = Extents.data(file.descriptor(), (offset, length) -> data.addAndGet(length));
            boolean sparse = told && data.get() < PROBE_BYTES;
            found(console, "holes", sparse, sparse ? "files are sparse, and report their holes" : "files cannot be"
                    + " sparse",
                    "memory that was never used takes no space", "keep the store on a filesystem with sparse files");
        }
    }

    private void sharing(Console console, Posix posix, Reflink reflink) throws IOException {
        try (StagedFile left = StagedFile.create(posix, directory.resolve("microsnap-doctor-left"));
                StagedFile right = StagedFile.create(posix, directory.resolve("microsnap-doctor-right"));
                Arena arena = Arena.ofConfined()) {
            MemorySegment same = arena.allocate(PROBE_BYTES).fill((byte) 1);
            left.descriptor().writeFully(same, 0);
            right.descriptor().writeFully(same, 0);
            DedupeOutcome outcome = reflink.dedupeRange(left.descriptor(), 0, right.descriptor(), 0, PROBE_BYTES);
            boolean shared = outcome instanceof DedupeOutcome.Shared;
            found(console, "dedupe-range", shared,
                    outcome instanceof DedupeOutcome.Unsupported no ? no.reason() : "the kernel shares equal blocks",
                    "siblings are deduplicated in place, also while they are in use",
                    "keep the store on XFS (mkfs.xfs -m reflink=1) or btrfs");
        }
    }

    private static String firstLine(Path file) {
        // Read by lines, because such files report no size.
        try (BufferedReader reader = Files.newBufferedReader(file)) {
            String line = reader.readLine();
            return line == null ? "" : line.strip();
        } catch (IOException absent) {
            return "";
        }
    }
}
