package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;

class FileDeduplicatorTest {
    private static final int LENGTH = 4 << 20;
    private static final Posix POSIX = Posix.host();
    /** An attribute's name with a byte in it that is no character. */
    private static final String NO_UTF_8 = "user.\udcff";

    private final FileDeduplicator deduplicator = new FileDeduplicator(Posix.host());
    private final byte[] canonical = TwoImages.bytes(LENGTH, 1);
    private final byte[] target = Bakery.changed(canonical, 10, new SplittableRandom(2));

    @RealFileSystems({XFS, BTRFS})
    void modeTimesAndAttributesStayAndSoDoesTheInodeInPlace(Path directory) throws IOException {
        for (Engine engine : Engine.values()) {
            for (int owner : new int[] {0, 12}) {
                attributesStay(Files.createDirectory(directory.resolve(engine + "-" + owner)), engine, owner);
            }
        }
    }

    private void attributesStay(Path directory, Engine engine, int owner) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        Files.setPosixFilePermissions(images.target, PosixFilePermissions.fromString("r--r-----"));
        Files.setAttribute(images.target, "unix:uid", owner);
        Files.setAttribute(images.target, "unix:gid", 34);
        UserDefinedFileAttributeView named =
                Files.getFileAttributeView(images.target, UserDefinedFileAttributeView.class);
        named.write("colour", StandardCharsets.UTF_8.encode("blue"));
        named.write("gr\u00f6\u00dfe", StandardCharsets.UTF_8.encode("large"));
        named.write("none", ByteBuffer.allocate(0));
        try (Descriptor open = open(images.target); Arena arena = Arena.ofConfined()) {
            open.check("fsetxattr", POSIX.fsetxattr(open.number(), NO_UTF_8, arena.allocate(3)), NO_UTF_8);
        }
        FileTime modified = FileTime.from(Instant.parse("2001-02-03T04:05:06.123456789Z"));
        FileTime accessed = FileTime.from(Instant.parse("2002-02-03T04:05:06.987654321Z"));
        Files.getFileAttributeView(images.target, BasicFileAttributeView.class).setTimes(modified, accessed, null);
        Map<String, Object> before = attributes(images.target);
        FaultyPosix watched = FaultyPosix.host();
        watched.before(call -> {
            if (call.name().equals("fsetxattr")) {
                assertThat(isWritable((int) call.arguments().getFirst()))
                        .as("only root sets attributes of what may not be written").isTrue();
            }
        });
        assertThat(new FileDeduplicator(watched.posix()).deduplicate(images.canonical, images.target,
                DedupOptions.DEFAULTS.with(engine))).isInstanceOf(Deduplicated.class);
        Map<String, Object> after = attributes(images.target);
        if (engine == Engine.CLONE_AND_SWAP) {
            assertThat(after.remove("ino")).isNotEqualTo(before.remove("ino"));
            assertThat(watched.calls("fsetxattr")).isEqualTo(4);
        } else {
            // It was read; nothing else was done to it.
            before.remove("lastAccessTime");
            after.remove("lastAccessTime");
        }
        assertThat(after).isEqualTo(before);
        assertThat(named.list()).contains("colour", "gr\u00f6\u00dfe", "none");
        ByteBuffer colour = ByteBuffer.allocate(4);
        named.read("colour", colour);
        assertThat(colour.array()).asString(StandardCharsets.UTF_8).isEqualTo("blue");
        assertThat(named.size("none")).isZero();
        try (Descriptor open = open(images.target); Arena arena = Arena.ofConfined()) {
            assertThat(POSIX.fgetxattr(open.number(), NO_UTF_8, arena.allocate(8))).isEqualTo(3);
        }
        assertThat(images.target).hasBinaryContent(target);
    }

    private static boolean isWritable(int descriptor) {
        try {
            return Files.getPosixFilePermissions(Path.of("/proc/self/fd", Integer.toString(descriptor)))
                    .contains(PosixFilePermission.OWNER_WRITE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Descriptor open(Path file) throws IOException {
        return Descriptor.open(POSIX, file, POSIX.constants().O_RDONLY, 0);
    }

    private static Map<String, Object> attributes(Path file) throws IOException {
        return new HashMap<>(
                Files.readAttributes(file, "unix:ino,mode,uid,gid,size,lastModifiedTime,lastAccessTime,nlink"));
    }

    @RealFileSystems({XFS, BTRFS})
    void pairsThatCannotShareAreToldApart(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        Path shorter = Files.write(directory.resolve("shorter"), Arrays.copyOf(target, LENGTH - 1));
        Path empty = Files.write(directory.resolve("empty"), new byte[0]);
        Path alsoEmpty = Files.write(directory.resolve("also-empty"), new byte[0]);
        Path otherName = Files.createLink(directory.resolve("other-name"), images.target);
        Path symbolic = Files.createSymbolicLink(directory.resolve("symbolic"), images.target);
        Path folder = Files.createDirectory(directory.resolve("folder"));
        for (Engine engine : Engine.values()) {
            DedupOptions options = DedupOptions.DEFAULTS.with(engine);
            assertThat(reason(images.canonical, shorter, options)).isEqualTo(Reason.DIFFERENT_LENGTH);
            assertThat(reason(empty, alsoEmpty, options)).isEqualTo(Reason.EMPTY);
            assertThat(reason(images.target, otherName, options)).isEqualTo(Reason.SAME_FILE);
            assertThat(reason(symbolic, images.target, options)).isEqualTo(Reason.SAME_FILE);
            assertThat(reason(folder, images.target, options)).isEqualTo(Reason.NO_PLAIN_FILE);
            assertThatThrownBy(() -> deduplicator.deduplicate(images.canonical, symbolic, options))
                    .isInstanceOf(IOException.class).hasMessageContaining("symbolic link");
            assertThatThrownBy(() -> deduplicator.deduplicate(directory.resolve("none"), images.target, options))
                    .isInstanceOf(NoSuchFileException.class).hasMessageContaining("none");
            assertThatThrownBy(() -> deduplicator.deduplicate(images.canonical, directory.resolve("none"), options))
                    .isInstanceOf(NoSuchFileException.class).hasMessageContaining("none");
        }
        assertThat(reason(images.canonical, images.target, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)))
                .as("its other name would keep the old file").isEqualTo(Reason.OTHER_NAMES);
        assertThat(images.target).hasBinaryContent(target);
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target", "shorter", "empty",
                "also-empty", "other-name", "symbolic", "folder");
        assertThat(deduplicator.deduplicate(images.canonical, images.target,
                DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE)))
                .as("in place, other names do not matter").isInstanceOf(Deduplicated.class);
    }

    @RealFileSystems({EXT4, TMPFS})
    void aFilesystemWithoutClonesIsLeftAloneBeforeAnythingIsRead(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        for (Engine engine : Engine.values()) {
            DedupOutcome outcome =
                    deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS.with(engine));
            assertThat(outcome).isInstanceOfSatisfying(LeftAlone.class, alone -> {
                assertThat(alone.reason()).isEqualTo(Reason.UNSUPPORTED);
                assertThat(alone.report().orElseThrow().pages().read()).isZero();
            });
        }
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target");
    }

    @RealFileSystems({XFS, BTRFS})
    void whatIsNotWorthItIsLeftAlone(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, TwoImages.bytes(LENGTH, 3));
        for (Engine engine : Engine.values()) {
            assertThat(reason(images.canonical, images.target, DedupOptions.DEFAULTS.with(engine)))
                    .isEqualTo(Reason.TOO_FEW_EQUAL);
        }
        byte[] scattered = canonical.clone();
        for (int page = 0; page < LENGTH / TwoImages.PAGE; page += 2) {
            scattered[page * TwoImages.PAGE]++;
        }
        Files.write(images.target, scattered);
        FragmentationPolicy tight = FragmentationPolicy.DEFAULT.withExtentsPerGiBToShare(1024);
        for (Engine engine : Engine.values()) {
            assertThat(reason(images.canonical, images.target, DedupOptions.DEFAULTS.with(engine).with(tight)))
                    .isEqualTo(Reason.TOO_FRAGMENTED);
        }
        assertThat(images.target).hasBinaryContent(scattered);
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target");
    }

    @RealFileSystems({XFS, BTRFS})
    void whatIsSharedAlreadyIsNotReadAgain(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        assertThat(deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                .isInstanceOf(Deduplicated.class);
        assertThat(deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                .isInstanceOfSatisfying(LeftAlone.class, alone -> {
                    assertThat(alone.reason()).isEqualTo(Reason.ALREADY_SHARED);
                    assertThat(alone.report().orElseThrow().pages().read())
                            .isEqualTo(alone.report().orElseThrow().pages().different());
                    assertThat(alone.report().orElseThrow().pages().alreadyShared())
                            .isGreaterThan(LENGTH / TwoImages.PAGE / 2);
                });
    }

    @RealFileSystems({XFS, BTRFS})
    void aTargetWrittenMeanwhileKeepsWhatWasWritten(Path directory) throws IOException {
        byte[] written = TwoImages.bytes(TwoImages.PAGE, 4);
        for (String moment : List.of("pread", "renameat2", "fsync")) {
            Path place = Files.createDirectory(directory.resolve(moment));
            TwoImages images = TwoImages.of(place, canonical, target);
            FaultyPosix racing = FaultyPosix.host();
            racing.before(call -> {
                if (call.name().equals(moment) && racing.calls(moment) == 1) {
                    write(images.target, LENGTH / 2, written);
                }
            });
            DedupOutcome outcome = new FileDeduplicator(racing.posix()).deduplicate(
                    images.canonical, images.target, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP));
            assertThat(outcome).isInstanceOfSatisfying(LeftAlone.class,
                    alone -> assertThat(alone.reason()).isEqualTo(Reason.TARGET_CHANGED));
            byte[] expected = target.clone();
            System.arraycopy(written, 0, expected, LENGTH / 2, written.length);
            assertThat(images.target).hasBinaryContent(expected);
            assertThat(namesIn(place)).containsExactlyInAnyOrder("canonical", "target");
            assertThat(racing.openDescriptors()).isEmpty();
        }
    }

    /** A writer through a mapping may go on unseen until its page is synced; elsewhere extents do that. */
    @RealFileSystems({XFS, BTRFS})
    void onMacosWhatIsWrittenThroughAMappingMeanwhileIsNoticed(Path directory) throws IOException {
        for (String which : List.of("canonical", "target")) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(which)), canonical, target);
            byte[] expected = target.clone();
            try (FileChannel open = FileChannel.open(which.equals("target") ? images.target : images.canonical,
                    StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                MappedByteBuffer mapping = open.map(FileChannel.MapMode.READ_WRITE, 0, TwoImages.PAGE);
                mapping.put(0, (byte) 1);
                FaultyPosix racing = FaultyPosix.over(StandInMac.host());
                racing.before(call -> {
                    // The clone is of the canonical image, and here that syncs it: before, there is only ours.
                    if (call.name().equals("fclonefileat") && racing.calls("fclonefileat") == 1) {
                        mapping.put(1, (byte) 2);
                    }
                });
                assertThat(new FileDeduplicator(racing.posix())
                        .deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                        .isInstanceOfSatisfying(LeftAlone.class, alone -> assertThat(alone.reason()).isEqualTo(
                                which.equals("target") ? Reason.TARGET_CHANGED : Reason.CANONICAL_CHANGED));
            }
            if (which.equals("target")) {
                expected[0] = 1;
                expected[1] = 2;
            }
            assertThat(images.target).hasBinaryContent(expected);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void writtenMeanwhileInPlaceIsSafeAndARereadTellsOfIt(Path directory) throws IOException {
        byte[] written = TwoImages.bytes(TwoImages.PAGE, 4);
        DedupOptions inPlace = DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE);
        int equalPages = 0;
        int equalPage = 0;
        for (int page = 0; page < LENGTH; page += TwoImages.PAGE) {
            if (Arrays.equals(canonical, page, page + TwoImages.PAGE, target, page, page + TwoImages.PAGE)) {
                equalPages++;
                equalPage = page;
            }
        }
        int at = equalPage;
        long left = (equalPages - 1L) * TwoImages.PAGE;
        for (DedupOptions options : List.of(inPlace, inPlace.withRereading())) {
            TwoImages images = TwoImages.of(
                    Files.createDirectory(directory.resolve("rereads-" + options.rereads())), canonical, target);
            FaultyPosix racing = FaultyPosix.host();
            int[] shares = {0};
            racing.before(call -> {
                // The first asks for nothing, the second is the probe: by the third everything is compared.
                if (call.name().equals("ioctl") && call.arguments().get(1).equals(0xC0189436L) && ++shares[0] == 3) {
                    write(images.target, at, written);
                }
            });
            DedupOutcome outcome =
                    new FileDeduplicator(racing.posix()).deduplicate(images.canonical, images.target, options);
            if (options.rereads()) {
                assertThat(outcome).isInstanceOfSatisfying(LeftAlone.class,
                        alone -> assertThat(alone.reason()).isEqualTo(Reason.TARGET_CHANGED));
            } else {
                assertThat(outcome).isInstanceOfSatisfying(Deduplicated.class, done -> assertThat(
                        done.report().sharedBytes()).as("all but what was written").isEqualTo(left));
            }
            byte[] expected = target.clone();
            System.arraycopy(written, 0, expected, at, written.length);
            assertThat(images.target).hasBinaryContent(expected);
            assertThat(images.canonical).hasBinaryContent(canonical);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCanonicalWrittenMeanwhileDoesNoHarm(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        FaultyPosix racing = FaultyPosix.host();
        racing.before(call -> {
            if (call.name().equals("pread") && racing.calls("pread") == 1) {
                write(images.canonical, LENGTH / 2, TwoImages.bytes(LENGTH / 4, 5));
            }
        });
        assertThat(new FileDeduplicator(racing.posix()).deduplicate(
                images.canonical, images.target, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)))
                .isInstanceOfSatisfying(LeftAlone.class,
                        alone -> assertThat(alone.reason()).isEqualTo(Reason.CANONICAL_CHANGED));
        assertThat(images.target).hasBinaryContent(target);
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target");
    }

    @RealFileSystems(XFS)
    void aFileThatShrinksWhileItIsReadIsNoticed(Path directory) throws IOException {
        for (String which : List.of("canonical", "target")) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(which)), canonical, target);
            FaultyPosix racing = FaultyPosix.host();
            racing.before(call -> {
                if (call.name().equals("pread") && racing.calls("pread") == 1) {
                    truncate(which.equals("target") ? images.target : images.canonical);
                }
            });
            DedupOutcome outcome = new FileDeduplicator(racing.posix())
                    .deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS);
            assertThat(outcome).isInstanceOfSatisfying(LeftAlone.class, alone -> assertThat(alone.reason())
                    .isEqualTo(which.equals("target") ? Reason.TARGET_CHANGED : Reason.CANONICAL_CHANGED));
        }
    }

    /** Nothing is read at one byte a second: a limit that is not kept lets this come to an end by itself. */
    @RealFileSystems({XFS, BTRFS})
    void aReaderThatIsTooFastWaitsAndCanBeInterruptedThen(Path directory) throws Exception {
        for (Engine engine : Engine.values()) {
            for (int threads = 1; threads <= 2; threads++) {
                TwoImages images = TwoImages.of(
                        Files.createDirectory(directory.resolve(engine + "-" + threads)), canonical, target);
                DedupOptions options = DedupOptions.DEFAULTS.with(engine).withThreads(threads).withBytesPerSecond(1);
                assertThat(interruptedAsSoonAsItWaits(images, options)).as(engine + ", " + threads + " threads")
                        .isInstanceOf(CancelledException.class);
                assertThat(images.target).hasBinaryContent(target);
                assertThat(namesIn(images.target.getParent())).containsExactlyInAnyOrder("canonical", "target");
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void comparingZerosWithAHoleWaitsToo(Path directory) throws Exception {
        TwoImages images = TwoImages.of(directory, canonical, new byte[LENGTH]);
        try (RandomAccessFile hole = new RandomAccessFile(images.canonical.toFile(), "rw")) {
            hole.setLength(0);
            hole.setLength(LENGTH);
        }
        assertThat(interruptedAsSoonAsItWaits(images,
                DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP).withBytesPerSecond(1)))
                .isInstanceOf(CancelledException.class);
    }

    private Throwable interruptedAsSoonAsItWaits(TwoImages images, DedupOptions options) throws InterruptedException {
        return Interruption.asSoonAsItWaits(
                () -> deduplicator.deduplicate(images.canonical, images.target, options));
    }

    @RealFileSystems({XFS, BTRFS})
    void imagesOnDifferentFilesystemsShareNothing(Path directory, @TempDir Path elsewhere) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        Path other = Files.write(elsewhere.resolve("other"), canonical);
        for (Engine engine : Engine.values()) {
            assertThat(deduplicator.deduplicate(other, images.target, DedupOptions.DEFAULTS.with(engine)))
                    .isInstanceOfSatisfying(LeftAlone.class, alone -> {
                        assertThat(alone.reason()).isEqualTo(Reason.UNSUPPORTED);
                        assertThat(alone.explanation()).contains("different filesystems");
                    });
        }
        assertThat(images.target).hasBinaryContent(target);
    }

    @RealFileSystems({XFS, BTRFS})
    void onAFullFilesystemTheTargetStaysWhole(Path directory, FileSystemKind kind) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        Path ballast = directory.resolve("ballast");
        fill(ballast);
        for (Engine engine : Engine.values()) {
            try {
                DedupOutcome outcome = deduplicator.deduplicate(
                        images.canonical, images.target, DedupOptions.DEFAULTS.with(engine));
                // XFS needs no new blocks for it; on btrfs the first engine may have shared all before it failed.
                assertThat(kind == XFS || (outcome instanceof LeftAlone alone
                        && alone.reason() == Reason.ALREADY_SHARED)).as("%s", outcome).isTrue();
            } catch (IOException full) {
                assertThat(full).hasMessageContaining("ENOSPC");
            }
            assertThat(images.target).hasBinaryContent(target);
            assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target", "ballast");
        }
        Files.delete(ballast);
        Files.write(images.target, target);
        assertThat(deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                .isInstanceOf(Deduplicated.class);
    }

    @RealFileSystems({XFS, BTRFS})
    void whatACloneRestsOnIsReadEvenIfItIsSaidToBeShared(Path directory) throws IOException {
        Path canonicalFile = Files.write(directory.resolve("canonical"), canonical);
        Path targetFile = directory.resolve("target");
        new Reflink().clone(Posix.host(), canonicalFile, targetFile, Durability.FULL);
        write(targetFile, 0, Arrays.copyOf(canonical, LENGTH / 2));
        assertThat(deduplicator.deduplicate(canonicalFile, targetFile,
                DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP))).isInstanceOfSatisfying(Deduplicated.class, done -> {
                    DedupReport.Pages pages = done.report().pages();
                    assertThat(pages.read()).isEqualTo(pages.all());
                    assertThat(pages.alreadyShared()).isEqualTo(pages.all() / 2);
                    assertThat(pages.equal()).isEqualTo(pages.all() / 2);
                });
    }

    /** On btrfs a block that is taken over keeps the whole extent it was in. */
    @RealFileSystems({XFS, BTRFS})
    void aCloneTakesTheTargetsBlocksOverWhereThatFreesTheOthers(Path directory, FileSystemKind kind)
            throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        FaultyPosix counting = FaultyPosix.host();
        assertThat(new FileDeduplicator(counting.posix()).deduplicate(images.canonical, images.target,
                DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP))).isInstanceOf(Deduplicated.class);
        assertThat(counting.calls("pwrite") > 0).isEqualTo(kind == BTRFS);
    }

    @RealFileSystems({XFS, BTRFS})
    void aRereadFindsACloneThatHasGoneBadAndKeepsTheTarget(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        FaultyPosix spoiling = FaultyPosix.host();
        List<Path> spoilt = new ArrayList<>();
        int equalPage = 0;
        while (!Arrays.equals(canonical, equalPage, equalPage + TwoImages.PAGE,
                target, equalPage, equalPage + TwoImages.PAGE)) {
            equalPage += TwoImages.PAGE;
        }
        long at = equalPage;
        spoiling.before(call -> {
            // All is compared; what is equal is not looked at again unless it is asked for.
            if (call.name().equals("pread") && spoiling.calls("pread") > 2 * LENGTH / (128 << 10) && spoilt.isEmpty()) {
                spoilt.add(staged(directory));
                write(spoilt.getFirst(), at, new byte[] {1, 2, 3});
            }
        });
        DedupOptions options = DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP).withThreads(1);
        assertThatThrownBy(() -> new FileDeduplicator(spoiling.posix())
                .deduplicate(images.canonical, images.target, options.withRereading()))
                .isInstanceOf(DamagedException.class).hasMessageContaining("differs from it in 1 page");
        assertThat(spoilt).hasSize(1);
        assertThat(images.target).hasBinaryContent(target);
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target");
    }

    @RealFileSystems({XFS, BTRFS})
    void howLongComparingTookIsReportedEvenIfNothingCameOfIt(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, TwoImages.bytes(LENGTH, 3));
        long[] spent = {0};
        DedupOutcome outcome = deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS
                .with(Engine.CLONE_AND_SWAP).withThreads(1).with((done, total) -> {
                    if (done == 0 || spent[0] > 0) {
                        return;
                    }
                    long start = System.nanoTime();
                    assertThat(images.canonical).hasBinaryContent(canonical);
                    spent[0] = System.nanoTime() - start;
                }));
        assertThat(outcome).isInstanceOfSatisfying(LeftAlone.class, alone ->
                assertThat(alone.report().orElseThrow().time().comparing().toNanos())
                        .isGreaterThanOrEqualTo(spent[0]));
        assertThat(spent[0]).isPositive();
    }

    @RealFileSystems({XFS, BTRFS})
    void twoDoNotWorkOnOneTargetAtATime(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        DedupOptions impatient = DedupOptions.DEFAULTS.withPatience(Duration.ofMillis(20));
        try (Descriptor other = TwoImages.open(images.target)) {
            assertThat(other.tryLock(true)).isTrue();
            assertThat(reason(images.canonical, images.target, impatient)).isEqualTo(Reason.BUSY);
        }
        try (Descriptor other = TwoImages.open(images.target)) {
            assertThat(other.tryLock(false)).isTrue();
            assertThat(reason(images.canonical, images.target, impatient))
                    .as("somebody's canonical image").isEqualTo(Reason.BUSY);
        }
        try (Descriptor other = TwoImages.open(images.canonical)) {
            assertThat(other.tryLock(true)).isTrue();
            assertThat(reason(images.canonical, images.target, impatient))
                    .as("somebody's target").isEqualTo(Reason.BUSY);
        }
        try (Descriptor other = TwoImages.open(images.canonical)) {
            assertThat(other.tryLock(false)).isTrue();
            assertThat(deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                    .as("one canonical image serves many").isInstanceOf(Deduplicated.class);
        }
    }

    /** The holder lets go of the lock when it has been asked for often. */
    @RealFileSystems({XFS, BTRFS})
    void aLockIsWaitedForAndAWaitCanBeStopped(Path directory) throws IOException {
        for (String which : List.of("canonical", "target")) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(which)), canonical, target);
            FaultyPosix watched = FaultyPosix.host();
            try (Descriptor other = TwoImages.open(which.equals("target") ? images.target : images.canonical)) {
                assertThat(other.tryLock(true)).isTrue();
                DedupOptions stopped = DedupOptions.DEFAULTS.with((done, total) -> {
                    throw new CancelledException("enough");
                });
                assertThatThrownBy(() -> deduplicator.deduplicate(images.canonical, images.target, stopped))
                        .isInstanceOf(CancelledException.class).hasMessage("enough");
                watched.before(call -> {
                    if (call.name().equals("flock") && watched.calls("flock") == 5) {
                        close(other);
                    }
                });
                assertThat(new FileDeduplicator(watched.posix())
                        .deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                        .isInstanceOf(Deduplicated.class);
            }
            assertThat(images.target).hasBinaryContent(target);
            assertThat(watched.openDescriptors()).isEmpty();
        }
    }

    /** Otherwise two that want each other's image would each hold what the other waits for. */
    @RealFileSystems({XFS, BTRFS})
    void locksAreTakenInOneOrderWhicheverIsWhich(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        List<Path> first = new ArrayList<>();
        for (Path goal : List.of(images.canonical, images.target)) {
            FaultyPosix watched = FaultyPosix.host();
            watched.before(call -> {
                if (call.name().equals("flock") && watched.calls("flock") == 1) {
                    first.add(fileOf((Integer) call.arguments().getFirst()));
                }
            });
            Path other = goal.equals(images.canonical) ? images.target : images.canonical;
            new FileDeduplicator(watched.posix())
                    .deduplicate(other, goal, DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE));
        }
        assertThat(first).hasSize(2).first().isEqualTo(first.getLast());
    }

    private static Path fileOf(int descriptor) {
        try {
            return Files.readSymbolicLink(Path.of("/proc/self/fd", Integer.toString(descriptor)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void close(Descriptor descriptor) {
        try {
            descriptor.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void whatIsReplacedBeforeItIsLockedIsNotWorkedOn(Path directory) throws IOException {
        for (String which : List.of("canonical", "target")) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(which)), canonical, target);
            FaultyPosix racing = FaultyPosix.host();
            racing.before(call -> {
                if (call.name().equals("flock") && racing.calls("flock") == 1) {
                    replace(which.equals("target") ? images.target : images.canonical);
                }
            });
            assertThat(new FileDeduplicator(racing.posix())
                    .deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(LeftAlone.class, alone -> assertThat(alone.reason())
                            .isEqualTo(which.equals("target") ? Reason.TARGET_GONE : Reason.SIBLING_GONE));
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCallerThatCancelsFindsEverythingAsItWas(Path directory) throws IOException {
        TwoImages images = TwoImages.of(directory, canonical, target);
        for (Engine engine : Engine.values()) {
            for (double until : new double[] {0.1, 0.5, 0.9}) {
                DedupOptions options = DedupOptions.DEFAULTS.with(engine).with((done, total) -> {
                    if (done >= total * until) {
                        throw new CancelledException("enough");
                    }
                });
                assertThatThrownBy(() -> deduplicator.deduplicate(images.canonical, images.target, options))
                        .isInstanceOf(CancelledException.class);
                assertThat(images.target).hasBinaryContent(target);
                assertThat(namesIn(directory)).containsExactlyInAnyOrder("canonical", "target");
                Files.write(images.target, target);
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void progressNeverGoesBackAndReachesItsEnd(Path directory) throws IOException {
        for (Engine engine : Engine.values()) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(engine.name())), canonical, target);
            long[] last = {0, 0};
            deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS.with(engine)
                    .with((done, total) -> {
                        assertThat(done).isBetween(last[0], total);
                        assertThat(last[1]).isIn(0L, total);
                        last[0] = done;
                        last[1] = total;
                    }));
            assertThat(last[0]).isPositive().isEqualTo(last[1]);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void theReportAddsUp(Path directory) throws IOException {
        for (Engine engine : Engine.values()) {
            TwoImages images = TwoImages.of(Files.createDirectory(directory.resolve(engine.name())), canonical, target);
            long differing = 0;
            for (int page = 0; page < LENGTH; page += TwoImages.PAGE) {
                differing += Arrays.equals(canonical, page, page + TwoImages.PAGE,
                        target, page, page + TwoImages.PAGE) ? 0 : 1;
            }
            DedupOutcome outcome = deduplicator.deduplicate(images.canonical, images.target, DedupOptions.DEFAULTS
                    .with(engine).with(Accounting.FREE_SPACE).withRereading());
            DedupReport report = ((Deduplicated) outcome).report();
            assertThat(report.pages()).isEqualTo(new DedupReport.Pages(LENGTH / TwoImages.PAGE,
                    LENGTH / TwoImages.PAGE, 0, LENGTH / TwoImages.PAGE - differing, differing,
                    engine == Engine.CLONE_AND_SWAP ? differing : 0));
            assertThat(report.sharedBytes()).isEqualTo(LENGTH - differing * TwoImages.PAGE);
            assertThat(report.before().orElseThrow().exclusiveBytes()).isEqualTo(LENGTH);
            assertThat(report.after().orElseThrow().sharedBytes()).isEqualTo(report.sharedBytes());
            assertThat(report.after().orElseThrow().exclusiveBytes()).isEqualTo(differing * TwoImages.PAGE);
            assertThat(report.freeBytesBefore()).isPresent();
            assertThat(report.freeBytesAfter()).isPresent();
            assertThat(report.engine()).contains(engine);
        }
    }

    private Reason reason(Path canonicalFile, Path targetFile, DedupOptions options) throws IOException {
        DedupOutcome outcome = deduplicator.deduplicate(canonicalFile, targetFile, options);
        assertThat(outcome).isInstanceOf(LeftAlone.class);
        return ((LeftAlone) outcome).reason();
    }

    /** Leaves no space, not even in what is small. */
    private static void fill(Path ballast) throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        try (Descriptor file = Descriptor.open(posix, ballast, constants.O_CREAT | constants.O_RDWR, 0600)) {
            long length = 0;
            for (long step = 1L << 40; step >= TwoImages.PAGE;) {
                if (posix.fallocate(file.number(), 0, length, step) == 0) {
                    length += step;
                } else {
                    step /= 2;
                }
            }
            assertThat(length).isPositive();
        }
    }

    private static Path staged(Path directory) {
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.filter(entry -> !List.of("canonical", "target").contains(entry.getFileName().toString()))
                    .findFirst().orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static void write(Path file, long offset, byte[] bytes) {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(offset);
            open.write(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void replace(Path file) {
        try {
            Files.move(Files.copy(file, file.resolveSibling("copy")), file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void truncate(Path file) {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(TwoImages.PAGE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static List<String> namesIn(Path directory) throws IOException {
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.filter(entry -> Files.exists(entry, LinkOption.NOFOLLOW_LINKS))
                    .map(entry -> entry.getFileName().toString()).toList();
        }
    }
}
