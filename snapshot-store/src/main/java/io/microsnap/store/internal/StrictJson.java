package io.microsnap.store.internal;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.microsnap.core.DamagedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;

/**
 * Reads one JSON document and nothing else: UTF-8, no longer and no deeper than its limits, every key given once. Of
 * our own documents every key is known, every value of its type and in its range. A refusal names line, column and key.
 */
public final class StrictJson implements AutoCloseable {
    private static final Limits SMALL = new Limits(8, 1 << 16, 256, 20);

    private final String file;
    private final JsonParser parser;

    private StrictJson(String file, JsonParser parser) {
        this.file = file;
        this.parser = parser;
    }

    /** What a document may hold at the most: what is more is refused before it takes memory. */
    public static final class Limits {
        private final JsonFactory factory;

        /** Sets each limit; lengths are in characters. */
        public Limits(int depth, int stringLength, int nameLength, int numberLength) {
            factory = JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(depth)
                            .maxStringLength(stringLength).maxNameLength(nameLength).maxNumberLength(numberLength)
                            .build())
                    .build();
        }
    }

    /** Takes the document's one value. */
    @FunctionalInterface
    public interface Document {
        /** Reads the current value. */
        void read(StrictJson json) throws IOException;
    }

    /** Takes the value of one key. */
    @FunctionalInterface
    public interface Keys {
        /** Returns false for an unknown key, which is then refused. */
        boolean read(String key) throws IOException;
    }

    /** Takes one element of an array. */
    @FunctionalInterface
    public interface Element {
        /** Reads the current value. */
        void read() throws IOException;
    }

    /** Hands each key of a small document's one object to the reader. */
    public static void read(String file, byte[] document, Function<StrictJson, Keys> reader) throws DamagedException {
        read(file, document, SMALL, json -> json.object(reader.apply(json)));
    }

    /** Hands a document's one value to the reader. */
    public static void read(String file, byte[] document, Limits limits, Document reader) throws DamagedException {
        try (StrictJson json = new StrictJson(file, limits.factory.createParser(decode(file, document)))) {
            try {
                json.parser.nextToken();
                reader.read(json);
                if (json.parser.nextToken() != null) {
                    throw json.refused("something follows the end of the document");
                }
            } catch (JsonProcessingException e) {
                JsonLocation at = e.getLocation();
                throw json.refused(at == null ? json.parser.currentLocation() : at, e.getOriginalMessage());
            }
        } catch (DamagedException e) {
            throw e;
        } catch (IOException e) {
            throw new DamagedException(file + " cannot be parsed: " + e.getMessage(), e);
        }
    }

    /** The current value is an object: every key of it goes to the reader. */
    public void object(Keys keys) throws IOException {
        expect(JsonToken.START_OBJECT, "an object");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            if (!keys.read(key)) {
                throw refused("unknown key");
            }
        }
    }

    /** The current value is an array: the reader takes each element. */
    public void array(Element element) throws IOException {
        expect(JsonToken.START_ARRAY, "an array");
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            element.read();
        }
    }

    /** Returns the current value, a string without control characters. */
    public String string() throws IOException {
        expect(JsonToken.VALUE_STRING, "a string");
        String text = parser.getText();
        if (!Printable.isPlain(text)) {
            throw refused("the string has control characters or halves of a surrogate pair");
        }
        return text;
    }

    /**
     * Returns the current value, a string, converted by a function; if the function refuses it, the refusal names the
     * place.
     */
    public <T> T string(Function<String, T> value) throws IOException {
        String text = string();
        try {
            return value.apply(text);
        } catch (RuntimeException e) {
            throw refused(e.getMessage());
        }
    }

    /** Returns the current value, a whole number in this range. */
    public long integer(long lowest, long highest) throws IOException {
        expect(JsonToken.VALUE_NUMBER_INT, "a whole number");
        long value;
        try {
            value = parser.getLongValue();
        } catch (JsonProcessingException e) {
            throw refused("the number is not between " + lowest + " and " + highest);
        }
        if (value < lowest || value > highest) {
            throw refused("the number is not between " + lowest + " and " + highest);
        }
        return value;
    }

    /** Returns the current value, true or false. */
    public boolean bool() throws IOException {
        if (parser.currentToken() == JsonToken.VALUE_TRUE) {
            return true;
        }
        expect(JsonToken.VALUE_FALSE, "true or false");
        return false;
    }

    /** Returns what the current value is, in documents of other programs; no token at the end of the document. */
    public Optional<JsonToken> token() {
        return Optional.ofNullable(parser.currentToken());
    }

    /** Returns the current value, a string of any characters. */
    public String text() throws IOException {
        expect(JsonToken.VALUE_STRING, "a string");
        return parser.getText();
    }

    /** Returns the current value, a number; empty if a long cannot hold it exactly. */
    public OptionalLong number() throws IOException {
        boolean fits = parser.currentToken() == JsonToken.VALUE_NUMBER_INT
                && parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
        return fits ? OptionalLong.of(parser.getLongValue()) : OptionalLong.empty();
    }

    /** Returns whether the current value is {@code null}. */
    public boolean isNull() {
        return parser.currentToken() == JsonToken.VALUE_NULL;
    }

    /** Skips the current value, whatever it is: for documents that other programs may extend. */
    public boolean skip() throws IOException {
        parser.skipChildren();
        return true;
    }

    /** Returns the value of a required key. */
    public <T> T required(String key, T value) throws DamagedException {
        if (value == null) {
            throw refused("the key '" + key + "' is missing");
        }
        return value;
    }

    /** Returns the exception for a refused document, which names the place read last. */
    public DamagedException refused(String why) {
        return refused(parser.currentTokenLocation(), why);
    }

    @Override
    public void close() throws IOException {
        parser.close();
    }

    private void expect(JsonToken token, String what) throws DamagedException {
        if (parser.currentToken() != token) {
            throw refused("expected " + what);
        }
    }

    private DamagedException refused(JsonLocation at, String why) {
        String key = parser.getParsingContext().pathAsPointer().toString();
        return new DamagedException(file + ", line " + at.getLineNr() + ", column " + at.getColumnNr() + ", key "
                + (key.isEmpty() ? "/" : Printable.of(key)) + ": " + Printable.of(why));
    }

    private static String decode(String file, byte[] document) throws DamagedException {
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(document)).toString();
            if (text.startsWith("\uFEFF")) {
                throw new DamagedException(file + ", line 1, column 1: it starts with a byte order mark");
            }
            return text;
        } catch (CharacterCodingException e) {
            throw new DamagedException(file + " is not UTF-8 throughout", e);
        }
    }
}
