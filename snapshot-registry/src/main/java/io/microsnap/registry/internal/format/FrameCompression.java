package io.microsnap.registry.internal.format;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * Compresses pages to frames, each by itself. Use it from one thread at a time; the caller supplies the memory, off the
 * heap.
 */
public final class FrameCompression implements AutoCloseable {
    /** The space for a frame that zstd makes longer than its input. */
    public static final int ROOM_BYTES = (int) Zstd.compressBound(Frame.LARGEST_BYTES);
    /** The highest useful level. */
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

    /** Decompresses a frame; returns false unless it fills the target exactly. */
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
