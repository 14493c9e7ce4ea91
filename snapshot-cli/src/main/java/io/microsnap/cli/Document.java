package io.microsnap.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.IOException;
import java.io.StringWriter;
import java.time.Duration;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** One JSON object, with its keys in the order of adding. */
final class Document {
    private static final int LAST_PRINTABLE = 0x7e;
    // Escapes characters beyond ASCII, because some control a terminal; a program reads the same text.
    private static final JsonFactory FACTORY =
            new JsonFactoryBuilder().highestNonEscapedChar(LAST_PRINTABLE).build();

    private final Map<String, Object> entries = new LinkedHashMap<>();

    /**
     * Adds a key. A value may be text, a number, a truth value, null, another document, a collection or a map of
     * those, an optional (empty is null) or a duration (milliseconds).
     */
    Document put(String key, Object value) {
        entries.put(key, value);
        return this;
    }

    /** Returns the object as indented text. */
    String json() {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = FACTORY.createGenerator(text)) {
            DefaultIndenter lines = new DefaultIndenter("  ", "\n");
            json.setPrettyPrinter(new DefaultPrettyPrinter().withObjectIndenter(lines).withArrayIndenter(lines));
            write(json, this);
        } catch (IOException impossible) {
            throw new IllegalStateException("text can always be written to", impossible);
        }
        return text.toString();
    }

    private static void write(JsonGenerator json, Object value) throws IOException {
        switch (value) {
            case null -> json.writeNull();
            case Document document -> {
                json.writeStartObject();
                for (Map.Entry<String, Object> entry : document.entries.entrySet()) {
                    json.writeFieldName(entry.getKey());
                    write(json, entry.getValue());
                }
                json.writeEndObject();
            }
            case Map<?, ?> map -> {
                Document document = new Document();
                map.forEach((key, mapped) -> document.put(key.toString(), mapped));
                write(json, document);
            }
            case Collection<?> collection -> {
                json.writeStartArray();
                for (Object element : collection) {
                    write(json, element);
                }
                json.writeEndArray();
            }
            case Optional<?> optional -> write(json, optional.orElse(null));
            case OptionalLong optional -> write(json, optional.isPresent() ? optional.getAsLong() : null);
            case Duration duration -> json.writeNumber(Math.round(duration.toNanos() / 1e3) / 1e3);
            case Boolean truth -> json.writeBoolean(truth);
            case Integer number -> json.writeNumber(number);
            case Long number -> json.writeNumber(number);
            case Double number -> json.writeNumber(number);
            default -> json.writeString(value.toString());
        }
    }
}
