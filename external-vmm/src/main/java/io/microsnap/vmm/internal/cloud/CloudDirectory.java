package io.microsnap.vmm.internal.cloud;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Export;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.host.NewDirectory;
import io.microsnap.vmm.internal.host.SmallFiles;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** The directory that Cloud Hypervisor writes and reads. */
public final class CloudDirectory {
    /** The guest's configuration. */
    public static final String CONFIG = "config.json";
    /** The state of everything but RAM, with the table of RAM in it. */
    public static final String STATE = "state.json";
    /** RAM, range after range. */
    public static final String MEMORY = "memory-ranges";
    /** The most bytes such a state has. */
    public static final int LARGEST_STATE_BYTES = 64 << 20;

    private static final String UNORDERED = "memory.img";
    private static final int PIECE_BYTES = 1 << 20;

    private CloudDirectory() {
    }

    /** Returns the table of a directory's memory. */
    public static MemoryRanges ranges(Posix posix, Path directory) throws IOException {
        Path state = directory.resolve(STATE);
        if (!Files.exists(state)) {
            throw new NoSuchFileException(state.toString(), null,
                    "it is missing, so this is not the directory of a Cloud Hypervisor snapshot");
        }
        return MemoryRanges.parse(state.toString(), SmallFiles.read(posix, state, LARGEST_STATE_BYTES));
    }

    /** Writes a snapshot's memory in the order of its table; returns whether it shares blocks with the store. */
    public static boolean writeMemory(StoredSnapshot held, NewDirectory made, Progress progress) throws IOException {
        Descriptor state = held.open(SnapshotFiles.attachment(STATE));
        MemoryRanges ranges = MemoryRanges.parse(state.name(), SmallFiles.read(state, LARGEST_STATE_BYTES));
        GuestLayout layout = held.layout();
        if (!ranges.layout(layout.pageBytes()).equals(layout)) {
            throw new SnapshotException(held.id() + ": its memory is at " + layout + ", and its " + STATE + " says "
                    + ranges.layout(layout.pageBytes()) + "; the two do not belong together");
        }
        Posix posix = state.posix();
        Export export = Export.of(held).threads(Runtime.getRuntime().availableProcessors()).progress(progress);
        if (ranges.isInAddressOrder()) {
            return export.toFile(made.file(MEMORY), IfExists.REFUSE);
        }
        Path image = made.file(UNORDERED);
        export.toFile(image, IfExists.REFUSE);
        Constants constants = posix.constants();
        try (Descriptor from = SmallFiles.open(posix, image);
                Descriptor to = Descriptor.open(posix, made.file(MEMORY),
                        constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0600)) {
            to.truncate(ranges.lengthBytes());
            for (MemoryRanges.Range range : ranges.inFileOrder()) {
                copy(from, layout.imageOffsetOf(range.guestAddress()), range, to);
            }
            to.sync();
        }
        Files.delete(image);
        return false;
    }

    private static void copy(Descriptor from, long start, MemoryRanges.Range range, Descriptor to) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment piece = arena.allocate(PIECE_BYTES);
            Extents.data(from, start, range.lengthBytes(), (offset, lengthBytes) -> {
                for (long done = 0; done < lengthBytes; done += PIECE_BYTES) {
                    MemorySegment part = piece.asSlice(0, Math.min(PIECE_BYTES, lengthBytes - done));
                    from.readFully(part, offset + done);
                    to.writeFully(part, range.fileOffset() + (offset + done - start));
                }
            });
        }
    }
}
