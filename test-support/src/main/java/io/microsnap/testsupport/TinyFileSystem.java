package io.microsnap.testsupport;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * On a {@link java.nio.file.Path} parameter of a test: the top of a new 16 MiB ext4 file system of its own, for tests
 * that run out of space. It takes about 11 MiB of data.
 */
@Documented
@Target(ElementType.PARAMETER)
@Retention(RetentionPolicy.RUNTIME)
public @interface TinyFileSystem {
}
