package io.microsnap.benchmarks;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import io.microsnap.core.DamagedException;
import io.microsnap.store.internal.StrictJson;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Writes runs as JSON and reads them again, strictly: they may come from anywhere. */
final class RunFile {
    private static final int LARGEST_BYTES = 16 << 20;
    private static final int MOST_ROWS = 2000;
    private static final int MOST_PAIRS = 1000;
    private static final int MOST_READINGS = 50;
    private static final int MOST_PROCESSORS = 1 << 20;
    private static final long FORMAT = 1;

    private RunFile() {
    }

    /** Something that a {@link JsonGenerator} writes. */
    @FunctionalInterface
    private interface Body {
        void write(JsonGenerator json) throws IOException;
    }

    static byte[] write(Run run) {
        return document(json -> {
            json.writeStartObject();
            json.writeNumberField("format", FORMAT);
            json.writeStringField("started", run.started().toString());
            json.writeStringField("revision", run.revision());
            json.writeNumberField("pairs", run.pairs());
            json.writeFieldName("machine");
            write(json, run.machine());
            json.writeArrayFieldStart("rows");
            for (Row row : run.rows()) {
                write(json, row);
            }
            json.writeEndArray();
            json.writeEndObject();
        });
    }

    /** One row by itself, as a scenario's own JVM hands it over. */
    static byte[] write(Row row) {
        return document(json -> write(json, row));
    }

    static Run read(Path file) throws IOException {
        return readRun(file.toString(), bounded(file));
    }

    static Run readRun(String name, byte[] document) throws DamagedException {
        Fields fields = new Fields();
        StrictJson.read(name, document, json -> {
            fields.json = json;
            return fields::runKey;
        });
        return fields.run(name);
    }

    static Row readRow(String name, byte[] document) throws DamagedException {
        RowFields row = new RowFields();
        StrictJson.read(name, document, json -> {
            row.json = json;
            return row::key;
        });
        return row.row(name);
    }

    private static byte[] bounded(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] document = in.readNBytes(LARGEST_BYTES + 1);
            if (document.length > LARGEST_BYTES) {
                throw new DamagedException(file + " is larger than " + Unit.BYTES.text(LARGEST_BYTES)
                        + ": no run is; name a file that bench --json wrote");
            }
            return document;
        }
    }

    private static byte[] document(Body body) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
            json.setPrettyPrinter(new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));
            body.write(json);
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        bytes.write('\n');
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, Machine machine) throws IOException {
        json.writeStartObject();
        json.writeStringField("processor", machine.processor());
        json.writeNumberField("processors", machine.processors());
        json.writeNumberField("memory_bytes", machine.memoryBytes());
        json.writeStringField("kernel", machine.kernel());
        json.writeStringField("storage", machine.storage());
        json.writeStringField("jdk", machine.jdk());
        json.writeStringField("flags", machine.flags());
        json.writeEndObject();
    }

    private static void write(JsonGenerator json, Row row) throws IOException {
        json.writeStartObject();
        json.writeStringField("family", row.family());
        json.writeStringField("name", row.name());
        json.writeStringField("question", row.question());
        json.writeStringField("unit", row.unit().name());
        json.writeStringField("target", row.target().code());
        json.writeStringField("verdict", row.verdict().name());
        switch (row.outcome()) {
            case Outcome.LeftOut left -> json.writeStringField("reason", left.reason());
            case Outcome.Failed failed -> json.writeStringField("reason", failed.reason());
            case Outcome.Measured measured -> write(json, measured);
        }
        json.writeEndObject();
    }

    private static void write(JsonGenerator json, Outcome.Measured measured) throws IOException {
        json.writeFieldName("first");
        write(json, measured.first());
        json.writeArrayFieldStart("pairs");
        for (Outcome.Pair pair : measured.pairs()) {
            write(json, pair);
        }
        json.writeEndArray();
        json.writeArrayFieldStart("readings");
        for (Reading reading : measured.readings()) {
            json.writeStartObject();
            json.writeStringField("name", reading.name());
            json.writeStringField("unit", reading.unit().name());
            json.writeNumberField("ours", reading.ours());
            json.writeNumberField("peer", reading.peer());
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    private static void write(JsonGenerator json, Outcome.Pair pair) throws IOException {
        json.writeStartArray();
        json.writeNumber(pair.ours());
        json.writeNumber(pair.peer());
        json.writeEndArray();
    }

    /** The keys of a run. */
    private static final class Fields {
        private StrictJson json;
        private Instant started;
        private String revision;
        private Integer pairs;
        private Machine machine;
        private List<Row> rows;

        boolean runKey(String key) throws IOException {
            switch (key) {
                case "format" -> json.integer(FORMAT, FORMAT);
                case "started" -> started = json.string(Instant::parse);
                case "revision" -> revision = json.string();
                case "pairs" -> pairs = (int) json.integer(1, MOST_PAIRS);
                case "machine" -> machine = machine();
                case "rows" -> rows = rows();
                default -> {
                    return false;
                }
            }
            return true;
        }

        Run run(String name) throws DamagedException {
            if (started == null || revision == null || pairs == null || machine == null || rows == null) {
                throw new DamagedException(name + " lacks started, revision, pairs, machine or rows: it is no run");
            }
            return new Run(started, revision, pairs, machine, rows);
        }

        private Machine machine() throws IOException {
            String[] texts = new String[5];
            long[] numbers = {-1, -1};
            json.object(key -> {
                switch (key) {
                    case "processor" -> texts[0] = json.string();
                    case "processors" -> numbers[0] = json.integer(1, MOST_PROCESSORS);
                    case "memory_bytes" -> numbers[1] = json.integer(0, Long.MAX_VALUE);
                    case "kernel" -> texts[1] = json.string();
                    case "storage" -> texts[2] = json.string();
                    case "jdk" -> texts[3] = json.string();
                    case "flags" -> texts[4] = json.string();
                    default -> {
                        return false;
                    }
                }
                return true;
            });
            for (String text : texts) {
                json.required("processor, kernel, storage, jdk or flags", text);
            }
            if (numbers[0] < 0 || numbers[1] < 0) {
                throw json.refused("processors or memory_bytes is missing");
            }
            return new Machine(texts[0], (int) numbers[0], numbers[1], texts[1], texts[2], texts[3], texts[4]);
        }

        private List<Row> rows() throws IOException {
            List<Row> read = new ArrayList<>();
            Set<String> names = new HashSet<>();
            json.array(() -> {
                RowFields row = new RowFields();
                row.json = json;
                json.object(row::key);
                Row one = row.row("rows");
                if (read.size() == MOST_ROWS || !names.add(one.name())) {
                    throw json.refused(read.size() == MOST_ROWS ? "more than " + MOST_ROWS + " rows"
                            : "the row is here twice");
                }
                read.add(one);
            });
            return read;
        }
    }

    /** The keys of a row. */
    private static final class RowFields {
        private StrictJson json;
        private String family;
        private String name;
        private String question;
        private Unit unit;
        private Target target;
        private Row.Verdict verdict;
        private String reason;
        private Outcome.Pair first;
        private List<Outcome.Pair> pairs;
        private List<Reading> readings;

        boolean key(String key) throws IOException {
            switch (key) {
                case "family" -> family = json.string();
                case "name" -> name = json.string();
                case "question" -> question = json.string();
                case "unit" -> unit = json.string(Unit::valueOf);
                case "target" -> target = json.string(Target::parse);
                case "verdict" -> verdict = json.string(Row.Verdict::valueOf);
                case "reason" -> reason = json.string();
                case "first" -> first = pair();
                case "pairs" -> pairs = list(MOST_PAIRS, this::pair);
                case "readings" -> readings = list(MOST_READINGS, this::reading);
                default -> {
                    return false;
                }
            }
            return true;
        }

        Row row(String where) throws DamagedException {
            if (family == null || name == null || question == null || unit == null || target == null
                    || verdict == null) {
                throw new DamagedException(where + ": a row lacks its family, name, question, unit, target or verdict");
            }
            return new Row(family, name, question, unit, target, outcome(where));
        }

        private Outcome outcome(String where) throws DamagedException {
            boolean measured = first != null && pairs != null && !pairs.isEmpty() && readings != null;
            return switch (verdict) {
                case LEFT_OUT -> new Outcome.LeftOut(required(where, reason != null, reason));
                case FAILED -> new Outcome.Failed(required(where, reason != null, reason));
                case MET, CLOSE, MISSED, REPORTED ->
                        required(where, measured, measured ? new Outcome.Measured(first, pairs, readings) : null);
            };
        }

        private <T> T required(String where, boolean there, T value) throws DamagedException {
            if (!there) {
                throw new DamagedException(where + ": the row " + name + " is " + verdict.name()
                        + " and lacks what belongs to that");
            }
            return value;
        }

        private interface Value<T> {
            T read() throws IOException;
        }

        private <T> List<T> list(int most, Value<T> value) throws IOException {
            List<T> read = new ArrayList<>();
            json.array(() -> {
                if (read.size() == most) {
                    throw json.refused("more than " + most + " values");
                }
                read.add(value.read());
            });
            return read;
        }

        private Outcome.Pair pair() throws IOException {
            List<Long> values = list(2, () -> json.integer(0, Long.MAX_VALUE));
            if (values.size() != 2) {
                throw json.refused("expected two numbers");
            }
            return new Outcome.Pair(values.getFirst(), values.getLast());
        }

        private Reading reading() throws IOException {
            String[] texts = new String[1];
            Unit[] units = new Unit[1];
            long[] numbers = {Reading.NONE, Reading.NONE};
            json.object(key -> {
                switch (key) {
                    case "name" -> texts[0] = json.string();
                    case "unit" -> units[0] = json.string(Unit::valueOf);
                    case "ours" -> numbers[0] = json.integer(Long.MIN_VALUE, Long.MAX_VALUE);
                    case "peer" -> numbers[1] = json.integer(Long.MIN_VALUE, Long.MAX_VALUE);
                    default -> {
                        return false;
                    }
                }
                return true;
            });
            return new Reading(json.required("name", texts[0]), json.required("unit", units[0]), numbers[0],
                    numbers[1]);
        }
    }
}
