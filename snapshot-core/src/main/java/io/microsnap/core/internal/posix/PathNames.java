package io.microsnap.core.internal.posix;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * Converts paths for system calls. A {@link Path} holds bytes, and its text is right only if the locale's charset can
 * decode them: in the C locale, text beyond ASCII would be another name.
 */
public final class PathNames {
    private static final int HEX = 16;

    private PathNames() {
    }

    /** Returns the whole path, as {@link Posix} takes it. */
    public static String of(Path path) {
        String text = path.toString();
        if (text.chars().allMatch(character -> character < 0x80)) {
            return text;
        }
        // The URI is the only way to a path's bytes without a charset: it escapes each of them.
        byte[] bytes = unescaped(path.toUri().getRawPath());
        int length = bytes.length;
        while (length > 1 && bytes[length - 1] == '/') {
            length--;
        }
        return NativeText.text(MemorySegment.ofArray(bytes), 0, length);
    }

    /** Returns the last name of a path that has one. */
    public static String last(Path path) {
        String whole = of(path.getFileName().toAbsolutePath());
        return whole.substring(whole.lastIndexOf('/') + 1);
    }

    private static byte[] unescaped(String rawPath) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int at = 0; at < rawPath.length(); at++) {
            char character = rawPath.charAt(at);
            if (character == '%') {
                bytes.write(Integer.parseInt(rawPath, at + 1, at + 3, HEX));
                at += 2;
            } else {
                bytes.write(character);
            }
        }
        return bytes.toByteArray();
    }
}
