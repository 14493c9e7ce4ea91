package io.microsnap.vmm.internal.wire;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.StrictJson;
import java.io.IOException;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A JSON value of another program, checked where it is used: reading it as the wrong type throws an exception that
 * names the document and the place. The document's length is bounded by its reader, all else by {@link StrictJson}.
 */
public final class Json {
    private static final int MOST_VALUES = 4 << 20;
    /** Cloud Hypervisor's whole state is one string. */
    private static final StrictJson.Limits LIMITS = new StrictJson.Limits(64, 64 << 20, 4096, 64);
    private static final Object NULL = new Object();
    private static final Object NO_LONG = new Object();

    private final String where;
    private final Object value;

    private Json(String where, Object value) {
        this.where = where;
        this.value = value;
    }

    /** Parses one document and nothing behind it. The name is for messages. */
    public static Json parse(String name, byte[] document) throws SnapshotException {
        int[] values = {0};
        Object[] root = {NULL};
        try {
            StrictJson.read(name, document, LIMITS, json -> root[0] = read(json, values));
        } catch (DamagedException refused) {
            // Nothing that is stored is damaged: another process wrote this.
            throw new SnapshotException(refused.getMessage() + "; it is not JSON that microsnap accepts", refused);
        }
        return new Json(name, root[0]);
    }

    private static Object read(StrictJson json, int[] values) throws IOException {
        if (++values[0] > MOST_VALUES) {
            throw json.refused("there are more than " + MOST_VALUES + " values");
        }
        return switch (json.token().orElseThrow(() -> json.refused("the document is empty"))) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                json.object(key -> {
                    object.put(key, read(json, values));
                    return true;
                });
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                json.array(() -> array.add(read(json, values)));
                yield array;
            }
            case VALUE_STRING -> json.text();
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> {
                OptionalLong number = json.number();
                yield number.isPresent() ? (Object) number.getAsLong() : NO_LONG;
            }
            case VALUE_TRUE, VALUE_FALSE -> json.bool();
            default -> NULL;
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

    public String text() throws SnapshotException {
        return as(String.class, "text");
    }

    /** Returns whether this is an object that has the key, and its value is true. */
    public boolean isTrue(String key) throws SnapshotException {
        Optional<Json> found = find(key);
        return found.isPresent() && found.get().truth();
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
