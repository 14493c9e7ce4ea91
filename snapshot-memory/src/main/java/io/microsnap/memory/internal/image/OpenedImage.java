package io.microsnap.memory.internal.image;

import io.microsnap.core.IoMode;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.work.Closing;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** A composed image that is read in an I/O mode. Closing it closes the files that it opened for that. */
public final class OpenedImage implements AutoCloseable {
    private final ComposedImage image;
    private final Closing files;

    private OpenedImage(ComposedImage image, Closing files) {
        this.image = image;
        this.files = files;
    }

    /** Opens an image, whose own files must stay open as long as this. */
    public static OpenedImage of(ComposedImage image, IoMode mode) throws IOException {
        Closing closing = new Closing();
        if (mode == IoMode.CACHED) {
            return new OpenedImage(image, closing);
        }
        try {
            List<StorageFile> files = new ArrayList<>();
            for (ComposedImage.Layer layer : image.layers()) {
                files.add(closing.add(StorageFile.over(layer.image(), StorageOptions.READ.with(mode))));
            }
            return new OpenedImage(image.through(files), closing);
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
    }

    public ComposedImage image() {
        return image;
    }

    @Override
    public void close() throws IOException {
        files.close();
    }
}
