package io.microsnap.testsupport;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.TestTemplate;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * A test that runs once on each of these file systems, real and mounted. It takes a {@link java.nio.file.Path}
 * parameter, an empty directory of its own on that file system, and may take a {@link FileSystemKind}.
 *
 * <pre>{@code
 * @RealFileSystems({XFS, BTRFS})
 * void aCloneSharesItsBlocks(Path directory) { … }
 * }</pre>
 *
 * <p>What this machine cannot mount is reported as skipped, with the reason and the command that would enable it.
 */
@Documented
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@TestTemplate
@ExtendWith(RealFileSystemsExtension.class)
public @interface RealFileSystems {

    /** Which; all of them unless told. */
    FileSystemKind[] value() default {
        FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS, FileSystemKind.TMPFS
    };
}
