package io.microsnap.core.internal.posix;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Converts names between Java and the operating system, for which they are bytes. The bytes are usually UTF-8; a byte
 * that is not becomes a lone surrogate (U+DC80 to U+DCFF) and converts back to that byte. So every name in a directory
 * converts back exactly, and no two names become one.
 */
final class NativeText {
    private static final int ESCAPE = 0xDC00;

    private NativeText() {
    }

    /** Returns a C string. Refuses text that is not encodable or contains NUL. */
    static MemorySegment string(Arena arena, String text) {
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a name contains NUL: " + text.replace('\0', '?'));
        }
        byte[] bytes = bytes(text);
        MemorySegment string = arena.allocate(bytes.length + 1L);
        MemorySegment.copy(bytes, 0, string, ValueLayout.JAVA_BYTE, 0, bytes.length);
        return string;
    }

    /** Returns the text of a name of this many bytes. */
    static String text(MemorySegment memory, long offset, long lengthBytes) {
        byte[] bytes = memory.asSlice(offset, lengthBytes).toArray(ValueLayout.JAVA_BYTE);
        CharBuffer text = decode(bytes, 0, bytes.length);
        if (text != null) {
            return text.toString();
        }
        StringBuilder escaped = new StringBuilder();
        for (int at = 0; at < bytes.length;) {
            int length = characterLength(bytes, at);
            if (length == 0) {
                escaped.append((char) (ESCAPE | Byte.toUnsignedInt(bytes[at])));
                at++;
            } else {
                escaped.append(decode(bytes, at, length));
                at += length;
            }
        }
        return escaped.toString();
    }

    /** Returns how many bytes from here on are one character of UTF-8, or 0. */
    private static int characterLength(byte[] bytes, int at) {
        for (int length = 1; length <= Math.min(4, bytes.length - at); length++) {
            if (decode(bytes, at, length) != null) {
                return length;
            }
        }
        return 0;
    }

    private static CharBuffer decode(byte[] bytes, int at, int length) {
        try {
            return StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT).decode(ByteBuffer.wrap(bytes, at, length));
        } catch (CharacterCodingException malformed) {
            return null;
        }
    }

    private static byte[] bytes(String text) {
        byte[] bytes = new byte[text.length() * 3];
        int used = 0;
        for (int at = 0; at < text.length();) {
            int character = text.codePointAt(at);
            if (character >= ESCAPE + 0x80 && character <= ESCAPE + 0xFF) {
                bytes[used++] = (byte) character;
            } else if (character >= Character.MIN_SURROGATE && character <= Character.MAX_SURROGATE) {
                throw new IllegalArgumentException("a name contains half a character at " + at);
            } else {
                byte[] encoded = Character.toString(character).getBytes(StandardCharsets.UTF_8);
                System.arraycopy(encoded, 0, bytes, used, encoded.length);
                used += encoded.length;
            }
            at += Character.charCount(character);
        }
        return Arrays.copyOf(bytes, used);
    }
}
