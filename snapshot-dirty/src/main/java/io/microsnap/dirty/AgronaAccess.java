package io.microsnap.dirty;

import org.agrona.UnsafeApi;

/** Reports the missing JVM flag in one line, before Agrona's atomic words fail at their first use. */
final class AgronaAccess {
    private static final String PACKAGE = "jdk.internal.misc";

    private AgronaAccess() {
    }

    /** Throws {@link UnsupportedOperationException} with the flag to add, unless the JVM was started with it. */
    static void require() {
        Module agrona = UnsafeApi.class.getModule();
        if (!Object.class.getModule().isExported(PACKAGE, agrona)) {
            throw new UnsupportedOperationException("dirty bitmaps set bits atomically outside of the heap, which this"
                    + " JVM denies; start it with --add-exports=java.base/" + PACKAGE + "="
                    + (agrona.isNamed() ? agrona.getName() : "ALL-UNNAMED"));
        }
    }
}
