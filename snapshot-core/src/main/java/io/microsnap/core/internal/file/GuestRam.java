package io.microsnap.core.internal.file;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.OptionalInt;

/** Guest memory that is one {@link Mapping} of the image: region after region, nothing in between. */
public final class GuestRam implements GuestMemory {
    private final GuestLayout layout;
    private final Mapping image;

    private GuestRam(GuestLayout layout, Mapping image) {
        this.layout = layout;
        this.image = image;
    }

    /** Returns new memory of zeros, of this process alone. */
    public static GuestRam anonymous(Posix posix, GuestLayout layout, HugePages hugePages) throws IOException {
        return new GuestRam(layout, Mapping.anonymous(posix, layout.lengthBytes(), hugePages));
    }

    /** Returns new memory of zeros behind a memfd, which others may map. */
    public static GuestRam memfd(Posix posix, GuestLayout layout, HugePages hugePages) throws IOException {
        return new GuestRam(layout, Mapping.memfd(posix, "guest-ram", layout.lengthBytes(), hugePages));
    }

    /** Returns guest memory over a mapping of a whole image. It closes the mapping with itself. */
    public static GuestRam of(GuestLayout layout, Mapping image) {
        Objects.requireNonNull(layout);
        if (image.lengthBytes() != layout.lengthBytes()) {
            throw new IllegalArgumentException(image + " is " + image.lengthBytes() + " bytes long, the guest's memory "
                    + layout.lengthBytes());
        }
        return new GuestRam(layout, image);
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public MemorySegment mapping(int region) {
        return image.segment().asSlice(layout.imageOffset(region), layout.regions().get(region).lengthBytes());
    }

    @Override
    public OptionalInt memfd() {
        return image.descriptor().map(Descriptor::number).map(OptionalInt::of).orElse(OptionalInt.empty());
    }

    @Override
    public boolean mayBeTruncated() {
        return image.mayBeTruncated();
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        image.populated(imageOffset, lengthBytes, ranges);
    }

    @Override
    public void requireMapped() {
        image.requireOpen();
    }

    @Override
    public Hold hold() {
        return image.hold();
    }

    /** Returns the registration for asynchronous write protection, which all watchers of this memory share. */
    public AsynchronousProtection protection() {
        return image.protection();
    }

    @Override
    public void close() throws IOException {
        image.close();
    }
}
