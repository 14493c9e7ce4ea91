package io.microsnap.vmm.internal.wire;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A JSON value that somebody else wrote, checked where it is used: asking it for what it is not is a failure that says
 * where in which document. The document's length is bounded by its reader, its depth here.
 */
public final class Json {
    private static final int DEEPEST = 64;
    private static final int LONGEST_STRING = 64 << 20;
    private static final int LONGEST_NUMBER = 64;
    private static final int LONGEST_NAME = 4096;
    private static final int MOST_VALUES = 4 << 20;
    private static final Object NULL = new Object();
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(DEEPEST)
                    .maxStringLength(LONGEST_STRING).maxNameLength(LONGEST_NAME).maxNumberLength(LONGEST_NUMBER)
                    .build())
            .build();

    private final String where;
    private final Object value;

    private Json(String where, Object value) {
        this.where = where;
        this.value = value;
    }

    /** Parses one document and nothing behind it. The name is for messages. */
    public static Json parse(String name, byte[] document) throws SnapshotException {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(document)).toString();
        } catch (CharacterCodingException notUtf8) {
            throw new SnapshotException(name + " is not UTF-8, and so no JSON", notUtf8);
        }
        try (JsonParser parser = FACTORY.createParser(text)) {
            if (parser.nextToken() == null) {
                throw new SnapshotException(name + " is empty, and JSON was expected");
            }
            int[] values = {0};
            Object value = read(parser, name, values);
            if (parser.nextToken() != null) {
                throw new SnapshotException(name + ": something follows the end of the JSON");
            }
            return new Json(name, value);
        } catch (JsonProcessingException malformed) {
            throw new SnapshotException(name + " is not JSON: " + malformed.getOriginalMessage(), malformed);
        } catch (SnapshotException refused) {
            throw refused;
        } catch (IOException impossible) {
            throw new SnapshotException(name + " cannot be read as JSON", impossible);
        }
    }

    private static Object read(JsonParser parser, String name, int[] values) throws IOException {
        if (++values[0] > MOST_VALUES) {
            throw new SnapshotException(name + " has more than " + MOST_VALUES + " values");
        }
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String key = parser.currentName();
                    parser.nextToken();
                    object.put(key, read(parser, name, values));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    array.add(read(parser, name, values));
                }
                yield array;
            }
            case VALUE_STRING -> parser.getText();
            case VALUE_NUMBER_INT -> parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                    ? (Object) parser.getBigIntegerValue() : (Object) parser.getLongValue();
            case VALUE_NUMBER_FLOAT -> parser.getText().length() > LONGEST_NUMBER ? NULL : parser.getDoubleValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> NULL;
            default -> throw new SnapshotException(name + " is not JSON: it ends too early");
        };
    }

    /** Returns the value of a key, where this is an object that has it and it is not null. */
    public Optional<Json> find(String key) throws SnapshotException {
        Object found = object().get(key);
        return found == null || found == NULL ? Optional.empty() : Optional.of(new Json(where + "/" + key, found));
    }

    /** Returns the value of a key that must be there. */
    public Json get(String key) throws SnapshotException {
        return find(key).orElseThrow(() -> new SnapshotException(where + " has no '" + key + "'"));
    }

    public boolean isObject() {
        return value instanceof Map;
    }

    public String text() throws SnapshotException {
        return as(String.class, "text");
    }

    public boolean truth() throws SnapshotException {
        return as(Boolean.class, "true or false");
    }

    /** Returns this as a whole number that is not negative. */
    public long number() throws SnapshotException {
        long number = as(Long.class, "a whole number below 2^63");
        if (number < 0) {
            throw new SnapshotException(where + " is below zero");
        }
        return number;
    }

    public List<Json> list() throws SnapshotException {
        List<?> elements = as(List.class, "a list");
        List<Json> result = new ArrayList<>(elements.size());
        for (int index = 0; index < elements.size(); index++) {
            result.add(new Json(where + "/" + index, elements.get(index)));
        }
        return result;
    }

    private Map<?, ?> object() throws SnapshotException {
        return as(Map.class, "an object");
    }

    private <T> T as(Class<T> type, String wanted) throws SnapshotException {
        if (!type.isInstance(value)) {
            throw new SnapshotException(where + " is not " + wanted);
        }
        return type.cast(value);
    }

    /** Writes maps, lists, text, numbers and truth values. */
    public static String write(Object value, boolean indented) {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            if (indented) {
                json.useDefaultPrettyPrinter();
            }
            write(json, value);
        } catch (IOException impossible) {
            throw new IllegalStateException("text can always be written to", impossible);
        }
        return text.toString();
    }

    private static void write(JsonGenerator json, Object value) throws IOException {
        switch (value) {
            case Map<?, ?> map -> {
                json.writeStartObject();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    json.writeFieldName(entry.getKey().toString());
                    write(json, entry.getValue());
                }
                json.writeEndObject();
            }
            case Collection<?> collection -> {
                json.writeStartArray();
                for (Object element : collection) {
                    write(json, element);
                }
                json.writeEndArray();
            }
            case Boolean truth -> json.writeBoolean(truth);
            case Integer number -> json.writeNumber(number);
            case Long number -> json.writeNumber(number);
            default -> json.writeString(value.toString());
        }
    }

    @Override
    public String toString() {
        return where;
    }
}
