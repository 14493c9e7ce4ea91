package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.MemoryWritten;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@EnabledOnOs(OS.LINUX)
final class ThreadStallTest {
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 2 * Lanes.CHUNK_BYTES);
    private static final long BUSY_NANOS = 50_000_000;
    /** A thread says that it waits before it does, and may lose its processor in between. */
    private static final long SURELY_ASLEEP_NANOS = BUSY_NANOS / 2;

    private final FaultyPosix watched = FaultyPosix.host();
    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);

    @TempDir
    private Path directory;

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void sleepingInAWriteIsThrottling(int lanes) throws IOException {
        guest.bytes().fill((byte) 1);
        Thread caller = Thread.currentThread();
        watched.before(call -> {
            if (call.name().equals("pwrite") && Thread.currentThread() == caller && watched.calls("pwrite") == 1) {
                sleepBesideABusyThread();
            }
        });
        try (Descriptor image = image()) {
            MemoryWritten written = ImageWriter.into(image, LAYOUT).lanes(lanes).startingAsZeros().everything(guest);
            assertThat(written.stalled().toNanos()).isBetween(SURELY_ASLEEP_NANOS, written.time().toNanos());
        }
    }

    /** Here every lane writes, and asks for itself. */
    @Test
    void lanesLeaveNothingOpen() throws IOException {
        InMemoryPageReader base = InMemoryPageReader.of(LAYOUT);
        guest.bytes().fill((byte) 1);
        try (Descriptor image = image()) {
            ImageWriter writer = ImageWriter.into(image, LAYOUT).lanes(2).startingAsZeros();
            writer.changes(guest, base, null, null);
            assertThat(watched.openDescriptors()).as("the image").hasSize(1);

            watched.every("pwrite").fails(Errno.ENOSPC);
            assertThatThrownBy(() -> writer.changes(guest, base, null, null))
                    .isInstanceOf(SystemCallException.class);
            assertThat(watched.openDescriptors()).as("the image").hasSize(1);
        }
    }

    /** The other is busy for a while once this one sleeps, which is how long it sleeps at least. */
    private static void sleepBesideABusyThread() {
        Thread sleeping = Thread.currentThread();
        Thread busy = Thread.ofPlatform().start(() -> {
            while (sleeping.getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
            }
            long start = System.nanoTime();
            while (System.nanoTime() - start < BUSY_NANOS) {
                Thread.onSpinWait();
            }
        });
        try {
            busy.join();
        } catch (InterruptedException unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private Descriptor image() throws IOException {
        Constants constants = watched.posix().constants();
        Descriptor image = Descriptor.open(watched.posix(), directory.resolve("image"),
                constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0600);
        image.truncate(LAYOUT.lengthBytes());
        return image;
    }
}
