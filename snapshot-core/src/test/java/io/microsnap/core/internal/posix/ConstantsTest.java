package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The numbers and layouts that are written down here, against the platforms' headers. */
class ConstantsTest {
    /** Younger than many a header of the kernel, or in the C library's headers alone. */
    private static final Set<String> NOT_IN_KERNEL_HEADERS = Set.of("MFD_NOEXEC_SEAL", "AF_UNIX", "SOCK_STREAM",
            "SOCK_CLOEXEC", "SOCK_NONBLOCK", "RWF_DONTCACHE");

    @BeforeEach
    void compiler() {
        assumeTrue(HeaderCheck.isAvailable(), HeaderCheck.MISSING);
    }

    @ParameterizedTest
    @CsvSource({
        "x86_64-linux-gnu, /usr/include/x86_64-linux-gnu, linux-libc-dev",
        "aarch64-linux-gnu, /usr/aarch64-linux-gnu/include, linux-libc-dev-arm64-cross",
    })
    void linux(String target, Path headers, String debianPackage) throws Exception {
        assumeTrue(Files.isRegularFile(headers.resolve("asm/fcntl.h")), "no kernel headers for " + target
                + " in " + headers + "; to enable: sudo apt-get install " + debianPackage);
        Constants constants = target.startsWith("x86") ? Constants.LINUX_X86_64 : Constants.LINUX_AARCH64;
        HeaderCheck check = HeaderCheck.of(target, "-isystem", headers.toString(), "-isystem", "/usr/include")
                .include("linux/types.h", "asm/errno.h", "asm/fcntl.h", "linux/fcntl.h", "linux/fs.h",
                        "linux/falloc.h", "linux/mman.h", "linux/memfd.h", "linux/fadvise.h", "linux/fiemap.h",
                        "linux/stat.h", "asm/statfs.h", "linux/userfaultfd.h", "asm/socket.h", "asm/unistd.h",
                        "stddef.h");
        macros(constants, check, NOT_IN_KERNEL_HEADERS);
        errnos(constants, check);
        statx(check);
        check.has("sizeof(struct fsxattr)", ExtentAttributes.BYTES)
                .has("offsetof(struct fsxattr, fsx_xflags)", ExtentAttributes.EXTENDED_FLAGS)
                .has("offsetof(struct fsxattr, fsx_nextents)", ExtentAttributes.EXTENTS)
                .has("offsetof(struct fsxattr, fsx_cowextsize)", ExtentAttributes.COPY_ON_WRITE_SIZE);
        check.has("sizeof(struct statfs)", 120)
                .has("offsetof(struct statfs, f_type)", 0)
                .has("offsetof(struct statfs, f_bsize)", 8)
                .has("offsetof(struct statfs, f_blocks)", 16)
                .has("offsetof(struct statfs, f_bfree)", 24)
                .has("offsetof(struct statfs, f_bavail)", 32)
                .has("offsetof(struct statfs, f_frsize)", 72);
        check.has("__NR_userfaultfd", target.startsWith("x86") ? 323 : 282)
                .has("__NR_pidfd_open", 434).has("__NR_pidfd_getfd", 438);
        assertThat(check.complaints()).isEmpty();
    }

    @Test
    void macos() throws Exception {
        HeaderCheck check = HeaderCheck.of("arm64-apple-macosx13.0").include("stddef.h").line(macosHeader());
        macros(Constants.MACOS_AARCH64, check, Set.of("FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE",
                "RENAME_NOREPLACE", "RENAME_EXCHANGE"));
        check.macro("RENAME_EXCL", Constants.MACOS_AARCH64.RENAME_NOREPLACE)
                .macro("RENAME_SWAP", Constants.MACOS_AARCH64.RENAME_EXCHANGE);
        errnos(Constants.MACOS_AARCH64, check);
        for (Field field : MacStructs.class.getDeclaredFields()) {
            String name = field.getName();
            if (field.getType() == long.class && !name.equals("SECTOR_BYTES")) {
                check.has("MICROSNAP_" + name, field.getLong(null));
            }
        }
        assertThat(check.complaints()).isEmpty();
    }

    @Test
    void aWrongNumberIsNoticed() throws IOException {
        assertThat(HeaderCheck.of("arm64-apple-macosx13.0").include("stddef.h").line(macosHeader())
                .macro("O_CREAT", Constants.LINUX_X86_64.O_CREAT).complaints()).contains("O_CREAT");
        assertThat(HeaderCheck.of("arm64-apple-macosx13.0").macro("O_CREAT", 1).complaints()).contains("not known");
    }

    private static void macros(Constants constants, HeaderCheck check, Set<String> notThere)
            throws IllegalAccessException {
        for (Field field : Constants.class.getDeclaredFields()) {
            boolean number = !Modifier.isStatic(field.getModifiers()) && Modifier.isPublic(field.getModifiers());
            if (number && !notThere.contains(field.getName())) {
                check.macro(field.getName(), ((Number) field.get(constants)).longValue());
            }
        }
    }

    private static void errnos(Constants constants, HeaderCheck check) {
        for (Errno errno : Errno.values()) {
            // Linux's kernel has one name for what glibc gives two.
            boolean known = errno != Errno.ENOTSUP || constants == Constants.MACOS_AARCH64;
            if (errno != Errno.UNKNOWN && known) {
                check.macro(errno.name(), errno.number(constants));
            }
        }
    }

    private static void statx(HeaderCheck check) {
        check.has("sizeof(struct statx)", 256).has("STATX_BASIC_STATS", Statx.BASIC).has("AT_EMPTY_PATH",
                Statx.AT_EMPTY_PATH)
                .has("offsetof(struct statx, stx_blksize)", 4)
                .has("offsetof(struct statx, stx_nlink)", 16)
                .has("offsetof(struct statx, stx_uid)", 20)
                .has("offsetof(struct statx, stx_gid)", 24)
                .has("offsetof(struct statx, stx_mode)", 28)
                .has("offsetof(struct statx, stx_ino)", 32)
                .has("offsetof(struct statx, stx_size)", 40)
                .has("offsetof(struct statx, stx_blocks)", 48)
                .has("offsetof(struct statx, stx_atime)", 64)
                .has("offsetof(struct statx, stx_ctime)", 96)
                .has("offsetof(struct statx, stx_mtime)", 112)
                .has("offsetof(struct statx, stx_mtime.tv_nsec)", 120)
                .has("offsetof(struct statx, stx_dev_major)", 136)
                .has("offsetof(struct statx, stx_dev_minor)", 140)
                .has("STATX_DIOALIGN", Statx.DIRECT_ALIGNMENT)
                .has("offsetof(struct statx, stx_mask)", 0)
                .has("offsetof(struct statx, stx_dio_mem_align)", 152)
                .has("offsetof(struct statx, stx_dio_offset_align)", 156);
    }

    private static String macosHeader() throws IOException {
        try (var header = ConstantsTest.class.getResourceAsStream("macos.h")) {
            return new String(header.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
