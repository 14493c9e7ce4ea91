package io.microsnap.registry.internal.format;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/** Compresses pages to frames, each by itself. One thread at a time; the memory is the caller's, and off the heap. */
public final class FrameCompression implements AutoCloseable {
    /** How much room a frame needs that zstd makes longer than it was. */
    public static final int ROOM_BYTES = (int) Zstd.compressBound(Frame.LARGEST_BYTES);
    /** The highest level that is of use here. */
    public static final int HIGHEST_LEVEL = 19;

    private final ZstdCompressCtx context = new ZstdCompressCtx();

    /** Compresses at this level; the same pages at the same level give the same bytes. */
    public FrameCompression(int level) {
        context.setLevel(level);
        context.setChecksum(false);
        context.setContentSize(true);
    }

    /** Compresses the pages into the target, which has {@link #ROOM_BYTES}; returns the length. */
    public int compress(MemorySegment pages, MemorySegment target) {
        ByteBuffer to = target.asByteBuffer();
        ByteBuffer from = pages.asByteBuffer();
        return context.compressDirectByteBuffer(to, 0, to.remaining(), from, 0, from.remaining());
    }

    @Override
    public void close() {
        context.close();
    }

    /** Decompresses a frame, which must fill the target exactly: false if it is no such frame. */
    public static boolean decompress(MemorySegment stored, MemorySegment target) {
        try {
            long length = Zstd.decompressDirectByteBuffer(target.asByteBuffer(), 0, (int) target.byteSize(),
                    stored.asByteBuffer(), 0, (int) stored.byteSize());
            return length == target.byteSize();
        } catch (ZstdException refused) {
            return false;
        }
    }
}
