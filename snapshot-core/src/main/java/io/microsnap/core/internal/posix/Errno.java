package io.microsnap.core.internal.posix;

/**
 * Why a system call failed, by the name the operating system gives it. The numbers differ between Linux and macOS;
 * code compares these constants and never numbers.
 */
public enum Errno {
    EPERM(1, 1), ENOENT(2, 2), ESRCH(3, 3), EINTR(4, 4), EIO(5, 5), ENXIO(6, 6), E2BIG(7, 7), EBADF(9, 9),
    EAGAIN(11, 35), ENOMEM(12, 12), EACCES(13, 13), EFAULT(14, 14), EBUSY(16, 16), EEXIST(17, 17), EXDEV(18, 18),
    ENODEV(19, 19), ENOTDIR(20, 20), EISDIR(21, 21), EINVAL(22, 22), ENFILE(23, 23), EMFILE(24, 24), ENOTTY(25, 25),
    ETXTBSY(26, 26), EFBIG(27, 27), ENOSPC(28, 28), ESPIPE(29, 29), EROFS(30, 30), EMLINK(31, 31), EPIPE(32, 32),
    ERANGE(34, 34), ENAMETOOLONG(36, 63), ENOSYS(38, 78), ENOTEMPTY(39, 66), ELOOP(40, 62), ENODATA(61, 96),
    EOVERFLOW(75, 84), EOPNOTSUPP(95, 102), ENOTSUP(95, 45), ESTALE(116, 70), ECONNREFUSED(111, 61), EDQUOT(122, 69),
    ECANCELED(125, 89),
    /** A number this table does not name; the failure's message carries it. */
    UNKNOWN(0, 0);

    private static final int HIGHEST = 256;
    private static final Errno[] BY_LINUX_NUMBER = byNumber(true);
    private static final Errno[] BY_MACOS_NUMBER = byNumber(false);

    private final int linux;
    private final int macos;

    Errno(int linux, int macos) {
        this.linux = linux;
        this.macos = macos;
    }

    /** Returns the platform's number for this error. */
    public int number(Constants constants) {
        return constants.operatingSystem() == OperatingSystem.LINUX ? linux : macos;
    }

    static Errno of(int number, OperatingSystem operatingSystem) {
        Errno[] table = operatingSystem == OperatingSystem.LINUX ? BY_LINUX_NUMBER : BY_MACOS_NUMBER;
        return number > 0 && number < HIGHEST && table[number] != null ? table[number] : UNKNOWN;
    }

    private static Errno[] byNumber(boolean linux) {
        Errno[] table = new Errno[HIGHEST];
        for (Errno errno : values()) {
            int number = linux ? errno.linux : errno.macos;
            // Linux gives EOPNOTSUPP and ENOTSUP one number: the first listed names it.
            if (number != 0 && table[number] == null) {
                table[number] = errno;
            }
        }
        return table;
    }
}
