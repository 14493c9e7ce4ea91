package io.microsnap.memory.misuse;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.SplittableRandom;

/** Throws from one kind of call, the first time or a later one. */
final class Throwing implements Trouble {
    final Point point;
    final Throwable what;
    private final boolean always;
    private int callsBefore;
    volatile boolean thrown;

    Throwing(SplittableRandom random) {
        this(random, Misuse.oneOf(Point.values(), random));
    }

    Throwing(SplittableRandom random, Point point) {
        this.point = point;
        what = anything(random);
        callsBefore = random.nextInt(4) == 0 ? random.nextInt(3) : 0;
        always = random.nextInt(4) == 0;
    }

    /** Anything that can be thrown, also such as no method declares. */
    static Throwable anything(SplittableRandom random) {
        return switch (random.nextInt(9)) {
            case 0 -> new IOException("thrown by the misuse campaign");
            case 1 -> new NoSuchFileException("thrown by the misuse campaign");
            case 2 -> new IllegalStateException("thrown by the misuse campaign");
            case 3 -> new Exception("thrown sneakily by the misuse campaign");
            case 4 -> new InterruptedException("thrown sneakily by the misuse campaign");
            case 5 -> new StackOverflowError("thrown by the misuse campaign");
            case 6 -> new OutOfMemoryError("thrown by the misuse campaign");
            case 7 -> new Throwable("thrown sneakily by the misuse campaign");
            default -> new Unspeakable();
        };
    }

    @Override
    public synchronized void at(Point here) throws Throwable {
        if (here == point && callsBefore-- <= 0 && (always || !thrown)) {
            thrown = true;
            throw what;
        }
    }

    /** Throws anything, undeclared. */
    @SuppressWarnings({"unchecked", "DoNotCallSuggester"})
    static <T extends Throwable> void sneak(Throwable what) throws T {
        throw (T) what;
    }

    /** Cannot even be asked what is wrong. */
    private static final class Unspeakable extends RuntimeException {
        private static final long serialVersionUID = 1;

        @Override
        public String getMessage() {
            throw new IllegalStateException("this exception has no message");
        }
    }
}
