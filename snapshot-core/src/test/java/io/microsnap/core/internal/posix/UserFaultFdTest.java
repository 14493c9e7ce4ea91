package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.PageMapScan.Categories;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(OS.LINUX)
class UserFaultFdTest {
    private static final long FEATURES = UserFaultFd.UFFD_FEATURE_PAGEFAULT_FLAG_WP
            | UserFaultFd.UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UserFaultFd.UFFD_FEATURE_WP_UNPOPULATED
            | UserFaultFd.UFFD_FEATURE_WP_ASYNC;

    private final Posix posix = Posix.host();
    private final Constants constants = posix.constants();
    private final long page = posix.getpagesize();

    @Test
    void theFirstWriteToAProtectedPageIsSeenAndWaitsForNobody() throws IOException {
        try (Descriptor userfaultfd = userfaultfd();
                Mapping memory = Mapping.anonymous(posix, 16 * page, HugePages.NONE)) {
            int number = userfaultfd.number();
            assumeTrue(UserFaultFd.api(posix, number, FEATURES) == 0,
                    "no asynchronous write protection; to enable: boot Linux 6.7 or later");
            memory.segment().set(ValueLayout.JAVA_BYTE, 3 * page, (byte) 1);
            assertThat(UserFaultFd.register(posix, number, memory.address(), 16 * page)).isZero();
            assertThat(UserFaultFd.writeProtect(posix, number, memory.address(), 16 * page)).isZero();
            assertThat(written(memory)).isEmpty();
            memory.segment().set(ValueLayout.JAVA_BYTE, 3 * page, (byte) 2);
            memory.segment().set(ValueLayout.JAVA_BYTE, 9 * page, (byte) 2);
            assertThat(written(memory)).containsExactly(3L, 9L);
            assertThat(UserFaultFd.unregister(posix, number, memory.address(), 16 * page)).isZero();
        }
    }

    @Test
    void refusalsComeBackAsNegativeErrno() throws IOException {
        try (Descriptor userfaultfd = userfaultfd()) {
            int number = userfaultfd.number();
            assertThat(constants.errno(UserFaultFd.api(posix, number, 1L << 60))).isEqualTo(Errno.EINVAL);
            assertThat(UserFaultFd.api(posix, number, 0)).isZero();
            assertThat(constants.errno(UserFaultFd.register(posix, number, 1, page))).isEqualTo(Errno.EINVAL);
            assertThat(constants.errno(UserFaultFd.writeProtect(posix, number, page, page))).isEqualTo(Errno.ENOENT);
        }
    }

    @Test
    void anotherProcessesDescriptorIsDuplicated() throws IOException {
        try (Descriptor mine = Descriptor.open(posix, Path.of("/proc/self/status"), constants.O_RDONLY, 0);
                Descriptor same = Descriptor.ofProcess(posix, ProcessHandle.current().pid(), mine.number(), "same")) {
            assertThat(same.number()).isNotEqualTo(mine.number());
            assertThat(same.status().inode()).isEqualTo(mine.status().inode());
            assertThatThrownBy(() -> Descriptor.ofProcess(posix, ProcessHandle.current().pid(), 9999, "none"))
                    .isInstanceOf(SystemCallException.class).hasMessageContaining("EBADF")
                    .hasMessageContaining("9999");
        }
    }

    private Descriptor userfaultfd() {
        int number = posix.userfaultfd(constants.O_CLOEXEC | constants.O_NONBLOCK | UserFaultFd.UFFD_USER_MODE_ONLY);
        assumeTrue(number >= 0, "no userfaultfd; to enable: allow it in the container's seccomp profile");
        return Descriptor.adopt(posix, number, "userfaultfd");
    }

    private List<Long> written(Mapping memory) throws IOException {
        List<Long> pages = new ArrayList<>();
        try (Descriptor pagemap = Descriptor.open(posix, Path.of("/proc/self/pagemap"), constants.O_RDONLY, 0)) {
            new PageMapScan().scan(pagemap, memory.address(), memory.address() + 16 * page,
                    PageMapScan.PM_SCAN_CHECK_WPASYNC, Categories.allOf(PageMapScan.PAGE_IS_WRITTEN),
                    (address, length) -> {
                        for (long at = address; at < address + length; at += page) {
                            pages.add((at - memory.address()) / page);
                        }
                    });
        }
        return pages;
    }
}
