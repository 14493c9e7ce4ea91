package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import io.microsnap.testsupport.Checkout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jdk.jfr.Event;
import jdk.jfr.EventType;
import jdk.jfr.Timespan;
import jdk.jfr.ValueDescriptor;
import org.junit.jupiter.api.Test;

/** The table of events in docs/embedding.md is that of the event classes. */
final class EventsAreDocumentedTest {
    /** What every event has. */
    private static final Set<String> COMMON = Set.of("startTime", "duration", "eventThread", "stackTrace");

    @Test
    void theTableOfEventsIsThatOfTheEventClasses() throws IOException {
        List<String> documented = Files.readAllLines(Checkout.root().resolve("docs/embedding.md")).stream()
                .filter(line -> line.startsWith("| `io.microsnap.")).toList();
        List<String> declared = eventClasses().map(EventsAreDocumentedTest::row).toList();
        assertThat(declared).isNotEmpty();
        assertThat(documented).containsExactlyInAnyOrderElementsOf(declared);
    }

    private static Stream<EventType> eventClasses() throws IOException {
        try (Stream<Path> entries = Files.list(Checkout.root())) {
            List<Path> classes = entries.map(entry -> entry.resolve("target/classes")).filter(Files::isDirectory)
                    .toList();
            return new ClassFileImporter().importPaths(classes).stream()
                    .filter(found -> found.isAssignableTo(Event.class))
                    .filter(found -> !found.getModifiers().contains(JavaModifier.ABSTRACT))
                    .map(JavaClass::reflect)
                    .map(found -> EventType.getEventType(found.asSubclass(Event.class)));
        }
    }

    private static String row(EventType event) {
        return "| `" + event.getName() + "` | " + event.getFields().stream()
                .filter(field -> !COMMON.contains(field.getName()))
                .map(field -> "`" + field.getName() + "`" + unit(field))
                .collect(Collectors.joining(", ")) + " |";
    }

    private static String unit(ValueDescriptor field) {
        if (field.getAnnotation(Timespan.class) != null) {
            return " (time)";
        }
        return field.getTypeName().equals("java.lang.String") ? "" : " (" + field.getTypeName() + ")";
    }
}
