package io.microsnap.testsupport;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * On a {@link java.nio.file.Path} parameter of a test: a new block device of its own, all zero, that does direct I/O.
 */
@Documented
@Target(ElementType.PARAMETER)
@Retention(RetentionPolicy.RUNTIME)
public @interface LoopDevice {

    /** Its size. */
    int sizeMiB() default 64;
}
