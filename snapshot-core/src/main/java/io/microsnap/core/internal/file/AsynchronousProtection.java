package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.posix.UserFaultFd;
import java.io.IOException;
import java.util.Optional;

/**
 * Registers memory for asynchronous write protection, once for everything that watches it: the kernel refuses a second
 * registration with another userfaultfd (EBUSY). The first user opens the userfaultfd and the last one closes it; the
 * memory stays registered as long as one of them needs it.
 *
 * <p>Safe for use by any number of threads.
 */
public final class AsynchronousProtection {
    private static final long FEATURES = UserFaultFd.UFFD_FEATURE_WP_ASYNC | UserFaultFd.UFFD_FEATURE_WP_UNPOPULATED
            | UserFaultFd.UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UserFaultFd.UFFD_FEATURE_PAGEFAULT_FLAG_WP;

    private final long[] addresses;
    private final long[] lengths;
    private Optional<Descriptor> userfaultfd = Optional.empty();
    private int users;
    private int registered;

    /**
     * Describes memory that nothing watches yet.
     *
     * @param addresses where its parts start: page boundaries
     * @param lengths how long they are: whole pages
     */
    public AsynchronousProtection(long[] addresses, long[] lengths) {
        this.addresses = addresses.clone();
        this.lengths = lengths.clone();
    }

    /**
     * Begins a use of the protection, for memory of this process.
     *
     * @throws SystemCallException ENOSYS where the system has no userfaultfd
     * @throws java.nio.file.AccessDeniedException where this process may not use it
     */
    public synchronized Use use(Posix posix) throws IOException {
        if (userfaultfd.isEmpty()) {
            int number = posix.userfaultfd(
                    posix.constants().O_CLOEXEC | posix.constants().O_NONBLOCK | UserFaultFd.UFFD_USER_MODE_ONLY);
            if (number < 0) {
                throw SystemCallException.of(posix, number, "userfaultfd", "userfaultfd", "");
            }
            Descriptor opened = Descriptor.adopt(posix, number, "userfaultfd");
            try {
                agree(opened);
            } catch (Throwable failure) {
                try (opened) {
                    throw failure;
                }
            }
        }
        users++;
        return new Use();
    }

    /**
     * Begins a use of the protection, through a userfaultfd of the process that owns the memory. The last use closes
     * the userfaultfd; if this method throws, the caller still owns it.
     */
    public synchronized Use use(Descriptor taken) throws IOException {
        if (userfaultfd.isPresent()) {
            throw new IllegalStateException(taken + " cannot be used: " + userfaultfd.get() + " is already");
        }
        agree(taken);
        users++;
        return new Use();
    }

    private void agree(Descriptor opened) throws IOException {
        int result = UserFaultFd.api(opened.posix(), opened.number(), FEATURES);
        // The kernel answers EINVAL for features it lacks and for a second handshake. Where features are missing,
        // registering fails.
        if (!opened.posix().constants().failedWith(result, Errno.EINVAL)) {
            opened.check("ioctl UFFDIO_API", result, "");
        }
        userfaultfd = Optional.of(opened);
    }

    /** One use of the protection. */
    public final class Use implements AutoCloseable {
        private boolean needsRegistration;
        private boolean closed;

        private Use() {
        }

        /** Returns the userfaultfd, until this is closed. */
        public Descriptor userfaultfd() {
            synchronized (AsynchronousProtection.this) {
                return userfaultfd.orElseThrow();
            }
        }

        /** Registers the memory, or keeps it registered. This protects nothing yet. */
        public void register() throws IOException {
            synchronized (AsynchronousProtection.this) {
                if (closed) {
                    throw new IllegalStateException("this use of the protection has ended");
                }
                registerAll();
                if (!needsRegistration) {
                    needsRegistration = true;
                    registered++;
                }
            }
        }

        /** Ends this use's registration. The last use removes the registration and with it all protection. */
        public void unregister() throws IOException {
            synchronized (AsynchronousProtection.this) {
                if (needsRegistration) {
                    needsRegistration = false;
                    registered--;
                    if (registered == 0) {
                        unregisterAll();
                    }
                }
            }
        }

        /** Ends this use. A second call does nothing. */
        @Override
        public void close() throws IOException {
            synchronized (AsynchronousProtection.this) {
                if (closed) {
                    return;
                }
                closed = true;
                try {
                    unregister();
                } finally {
                    leave();
                }
            }
        }
    }

    private void leave() throws IOException {
        users--;
        if (users == 0) {
            Descriptor last = userfaultfd.orElseThrow();
            userfaultfd = Optional.empty();
            last.close();
        }
    }

    private void registerAll() throws IOException {
        Descriptor open = userfaultfd.orElseThrow();
        for (int part = 0; part < addresses.length; part++) {
            int result = UserFaultFd.register(open.posix(), open.number(), addresses[part], lengths[part]);
            check("UFFDIO_REGISTER", result, part);
        }
    }

    /** Removes the registration. If the process or its mapping is gone already, there is none to remove. */
    private void unregisterAll() throws IOException {
        Descriptor open = userfaultfd.orElseThrow();
        for (int part = 0; part < addresses.length; part++) {
            int result = UserFaultFd.unregister(open.posix(), open.number(), addresses[part], lengths[part]);
            if (!isGone(open.posix(), result)) {
                check("UFFDIO_UNREGISTER", result, part);
            }
        }
    }

    private static boolean isGone(Posix posix, int result) {
        return posix.constants().failedWith(result, Errno.EINVAL) || posix.constants().failedWith(result, Errno.ENOMEM)
                || posix.constants().failedWith(result, Errno.ESRCH);
    }

    private void check(String request, int result, int part) throws IOException {
        userfaultfd.orElseThrow().check("ioctl " + request, result, "of " + lengths[part] + " bytes at address "
                + Long.toHexString(addresses[part]));
    }
}
