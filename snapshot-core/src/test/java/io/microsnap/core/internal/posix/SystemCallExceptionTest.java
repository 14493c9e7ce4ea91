package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.EnumMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SystemCallExceptionTest {
    private static final Map<Errno, Class<? extends IOException>> STANDARD = new EnumMap<>(Map.of(
            Errno.ENOENT, NoSuchFileException.class, Errno.EACCES, AccessDeniedException.class,
            Errno.EPERM, AccessDeniedException.class, Errno.EEXIST, FileAlreadyExistsException.class,
            Errno.ENOTDIR, NotDirectoryException.class, Errno.ENOTEMPTY, DirectoryNotEmptyException.class));

    private final Posix posix = FaultyPosix.host().posix();

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = {"UNKNOWN", "ENOTSUP"})
    void everyFailureNamesFileCallRangeAndErrno(Errno errno) {
        IOException failure = SystemCallException.of(posix, -errno.number(posix.constants()), "pwrite",
                "/images/memory.img", "of 4096 bytes at 8192");
        assertThat(failure).isInstanceOf(STANDARD.getOrDefault(errno, SystemCallException.class));
        assertThat(failure).hasMessageContainingAll("/images/memory.img", "pwrite of 4096 bytes at 8192",
                errno.name());
    }

    @ParameterizedTest
    @EnumSource(names = {"ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE", "ENOMEM", "EFBIG"})
    void whereTheReaderCanDoSomethingTheMessageSaysWhat(Errno errno) {
        IOException failure = SystemCallException.of(posix, -errno.number(posix.constants()), "open", "file", "");
        assertThat(failure.getMessage()).containsPattern(errno.name() + ": \\w+.*");
    }

    @Test
    void anErrorWithoutANameKeepsItsNumber() {
        assertThat(SystemCallException.of(posix, -250, "ioctl", "file", "")).hasMessageContaining("error 250");
    }
}
