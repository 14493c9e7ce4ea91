package io.microsnap.testsupport;

import java.util.Locale;

/**
 * How much a run of the tests tries: {@code ./check --quick}, {@code ./check}, {@code ./check --long}. A campaign
 * asks for its size here; a test that only makes sense in a long run is tagged {@code @Tag("long")}, one that a quick
 * run leaves out {@code @Tag("slow")}.
 */
public enum Effort {
    /** While writing code. */
    QUICK,
    /** Before landing. */
    NORMAL,
    /** Before a release, and overnight. */
    LONG;

    /** That of this run. */
    public static Effort current() {
        return valueOf(System.getProperty("microsnap.effort", "normal").toUpperCase(Locale.ROOT));
    }

    /** One of three sizes, for this run. */
    public static int choose(int quick, int normal, int whenLong) {
        return switch (current()) {
            case QUICK -> quick;
            case NORMAL -> normal;
            case LONG -> whenLong;
        };
    }
}
