package io.microsnap.memory.misuse;

/** What befalls a library's user in a call. */
@FunctionalInterface
interface Trouble {
    Trouble NONE = point -> { };

    /** Happens here, or not. */
    void at(Point point) throws Throwable;
}
