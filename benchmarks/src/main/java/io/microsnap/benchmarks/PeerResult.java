package io.microsnap.benchmarks;

import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** The one number in which a peer sums up what it did: left in a file, compared with ours. */
final class PeerResult {
    private final Path file;
    private long ours;

    PeerResult(Workbench workbench) throws Exception {
        file = Files.write(workbench.directory(FileSystemKind.TMPFS).resolve("result"), new byte[Long.BYTES]);
    }

    Path file() {
        return file;
    }

    void ours(long result) {
        ours = result;
    }

    void requireSame() throws IOException {
        long peers = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.nativeOrder()).getLong();
        if (ours != peers) {
            throw new IOException("our result is " + ours + ", the peer's " + peers);
        }
    }
}
