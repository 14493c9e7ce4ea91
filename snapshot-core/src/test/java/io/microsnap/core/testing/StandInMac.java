package io.microsnap.core.testing;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * macOS as far as the layers above the system calls can see, on top of Linux: its numbers, its errors, its calls and
 * its lack of calls. What they decide on macOS can be tried with it on real files. macOS's own calls are not in play.
 */
public final class StandInMac {
    private static final Constants MACOS = Constants.MACOS_AARCH64;
    private static final Set<String> ABSENT = Set.of("syncfs", "posix_fadvise", "copy_file_range", "memfd_create",
            "userfaultfd", "pidfd_open", "pidfd_getfd", "gettid", "tgkill", "sigaction", "socket", "connect",
            "getsockopt");
    private static final Set<String> NO_SYSTEM_CALLS = Set.of("getpagesize", "dlsym", "memcmp");
    private static final int MODE_BITS = 0xFFFF;
    private static final int APFS_BLOCK = 4096;

    private final Posix linux;
    private final Constants numbers;

    private StandInMac(Posix linux) {
        this.linux = linux;
        numbers = linux.constants();
    }

    /** Over the calls of this Linux machine. */
    public static Posix host() {
        return over(Posix.host());
    }

    /** Over other Linux calls. */
    public static Posix over(Posix linux) {
        StandInMac standIn = new StandInMac(linux);
        return (Posix) Proxy.newProxyInstance(Posix.class.getClassLoader(), new Class<?>[] {Posix.class},
                (proxy, method, arguments) -> standIn.answer(proxy, method, arguments));
    }

    private Object answer(Object proxy, Method method, Object[] arguments) throws Throwable {
        String name = method.getName();
        if (method.getDeclaringClass() == Object.class) {
            return switch (name) {
                case "equals" -> proxy == arguments[0];
                case "hashCode" -> System.identityHashCode(this);
                default -> "macOS, stood in for by " + linux;
            };
        }
        if (name.equals("constants")) {
            return MACOS;
        }
        if (NO_SYSTEM_CALLS.contains(name)) {
            return call(method, arguments);
        }
        long result = ABSENT.contains(name)
                ? -Errno.ENOSYS.number(numbers)
                : translated(name, method, arguments == null ? new Object[0] : arguments.clone());
        long answer = result < 0 ? -errno(numbers.errno(result)) : result;
        return method.getReturnType() == int.class ? (Object) (int) answer : (Object) answer;
    }

    /** macOS's filesystems say ENOTSUP where Linux's say EOPNOTSUPP. */
    private static long errno(Errno errno) {
        return (errno == Errno.EOPNOTSUPP ? Errno.ENOTSUP : errno).number(MACOS);
    }

    private long translated(String name, Method method, Object[] arguments) throws Throwable {
        switch (name) {
            case "openat" -> {
                directory(arguments, 0);
                arguments[2] = flags((int) arguments[2], Map.of(
                        MACOS.O_CREAT, numbers.O_CREAT, MACOS.O_EXCL, numbers.O_EXCL, MACOS.O_TRUNC, numbers.O_TRUNC,
                        MACOS.O_CLOEXEC, numbers.O_CLOEXEC, MACOS.O_NOFOLLOW, numbers.O_NOFOLLOW,
                        MACOS.O_DIRECTORY, numbers.O_DIRECTORY, MACOS.O_NONBLOCK, numbers.O_NONBLOCK), numbers.O_RDWR
                        | numbers.O_WRONLY);
                arguments[3] = (int) arguments[3] & MODE_BITS;
            }
            case "fstatat" -> {
                directory(arguments, 0);
                arguments[3] = flags((int) arguments[3],
                        Map.of(MACOS.AT_SYMLINK_NOFOLLOW, numbers.AT_SYMLINK_NOFOLLOW), 0);
            }
            case "unlinkat" -> {
                directory(arguments, 0);
                arguments[2] = flags((int) arguments[2], Map.of(MACOS.AT_REMOVEDIR, numbers.AT_REMOVEDIR), 0);
            }
            case "mkdirat" -> directory(arguments, 0);
            case "renameat2" -> {
                directory(arguments, 0);
                directory(arguments, 2);
                arguments[4] = flags((int) arguments[4], Map.of(MACOS.RENAME_NOREPLACE, numbers.RENAME_NOREPLACE,
                        MACOS.RENAME_EXCHANGE, numbers.RENAME_EXCHANGE), 0);
            }
            case "lseek" -> {
                int whence = (int) arguments[2];
                arguments[2] = whence == MACOS.SEEK_DATA ? numbers.SEEK_DATA
                        : whence == MACOS.SEEK_HOLE ? numbers.SEEK_HOLE : whence;
            }
            case "mmap" -> arguments[3] = flags((int) arguments[3], Map.of(MACOS.MAP_ANONYMOUS, numbers.MAP_ANONYMOUS,
                    MACOS.MAP_NORESERVE, numbers.MAP_NORESERVE),
                    MACOS.MAP_SHARED | MACOS.MAP_PRIVATE | MACOS.MAP_FIXED);
            case "fallocate" -> {
                // fcntl(F_PUNCHHOLE): whole blocks, and nothing else is offered.
                if ((int) arguments[1] == MACOS.FALLOC_FL_KEEP_SIZE) {
                    return preallocate((int) arguments[0], (long) arguments[3]);
                }
                if ((int) arguments[1] != (MACOS.FALLOC_FL_PUNCH_HOLE | MACOS.FALLOC_FL_KEEP_SIZE)) {
                    return -Errno.ENOSYS.number(numbers);
                }
                if (((long) arguments[2] | (long) arguments[3]) % APFS_BLOCK != 0) {
                    return -Errno.EINVAL.number(numbers);
                }
            }
            case "fcntl" -> {
                int command = (int) arguments[1];
                if (command == MACOS.F_FULLFSYNC) {
                    return linux.fsync((int) arguments[0]);
                }
                if (command == MACOS.F_BARRIERFSYNC) {
                    return linux.fdatasync((int) arguments[0]);
                }
                if (command == MACOS.F_NOCACHE) {
                    return 0;
                }
                if (command == MACOS.F_DUPFD_CLOEXEC) {
                    arguments[1] = numbers.F_DUPFD_CLOEXEC;
                } else if (command != MACOS.F_GETFD) {
                    // 0 would duplicate the descriptor: where a constant that macOS lacks was taken for a number.
                    throw new IllegalArgumentException("fcntl command " + command + " means something else there");
                }
            }
            case "fclonefileat" -> {
                return clone((int) arguments[0], fromMacos((int) arguments[1]), (String) arguments[2],
                        (int) arguments[3]);
            }
            case "preadv2", "pwritev2" -> {
                if ((int) arguments[3] != 0) {
                    return -Errno.ENOSYS.number(numbers);
                }
            }
            case "ioctl" -> {
                if ((long) arguments[1] == MACOS.DKIOCGETBLOCKSIZE) {
                    return linux.ioctl((int) arguments[0], numbers.BLKSSZGET, (MemorySegment) arguments[2]);
                }
                if ((long) arguments[1] == MACOS.DKIOCGETBLOCKCOUNT) {
                    return blockCount((int) arguments[0], (MemorySegment) arguments[2]);
                }
                return -Errno.ENOTTY.number(numbers);
            }
            default -> { }
        }
        return ((Number) call(method, arguments)).longValue();
    }

    private long blockCount(int device, MemorySegment count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment sector = arena.allocate(ValueLayout.JAVA_INT);
            long result = linux.ioctl(device, numbers.BLKSSZGET, sector);
            if (result >= 0) {
                result = linux.ioctl(device, numbers.BLKGETSIZE64, count);
                count.set(ValueLayout.JAVA_LONG, 0, count.get(ValueLayout.JAVA_LONG, 0)
                        / sector.get(ValueLayout.JAVA_INT, 0));
            }
            return result;
        }
    }

    /** Behind what is allocated: there is nothing to see of it but the space. */
    private long preallocate(int descriptor, long lengthBytes) {
        Stat stat = new Stat();
        long result = linux.fstat(descriptor, stat);
        return result < 0 ? result
                : linux.fallocate(descriptor, numbers.FALLOC_FL_KEEP_SIZE, stat.sizeBytes(), lengthBytes);
    }

    /** The destination is there whole, or not at all. */
    private long clone(int source, int directory, String destination, int flags) {
        if ((flags & ~(MACOS.CLONE_NOFOLLOW | MACOS.CLONE_NOOWNERCOPY)) != 0) {
            return -Errno.EINVAL.number(numbers);
        }
        int clone = linux.openat(directory, destination, numbers.O_RDWR | numbers.O_CREAT | numbers.O_EXCL
                | numbers.O_NOFOLLOW | numbers.O_CLOEXEC, 0600);
        if (clone < 0) {
            return clone;
        }
        int result = linux.ioctl(clone, numbers.FICLONE, source);
        linux.close(clone);
        if (result < 0) {
            linux.unlinkat(directory, destination, 0);
        }
        return result;
    }

    private void directory(Object[] arguments, int index) {
        arguments[index] = fromMacos((int) arguments[index]);
    }

    private int fromMacos(int directory) {
        return directory == MACOS.AT_FDCWD ? numbers.AT_FDCWD : directory;
    }

    /** A flag that macOS does not know is a mistake of the caller's, and shows. */
    private static int flags(int flags, Map<Integer, Integer> linuxByMacos, int same) {
        int translated = flags & same;
        int rest = flags & ~same;
        for (Map.Entry<Integer, Integer> flag : new TreeMap<>(linuxByMacos).entrySet()) {
            if ((rest & flag.getKey()) != 0) {
                translated |= flag.getValue();
                rest &= ~flag.getKey();
            }
        }
        if (rest != 0) {
            throw new IllegalArgumentException("macOS has no flags 0x" + Integer.toHexString(rest) + " here");
        }
        return translated;
    }

    private Object call(Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(linux, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }
}
