package io.microsnap.core.internal.posix;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Has clang judge assertions about C for another platform: it knows them all, and nothing need be run. */
final class HeaderCheck {
    static final String MISSING = "no clang on the path; to enable: sudo apt-get install clang";

    private final String target;
    private final List<String> options;
    private final StringBuilder source = new StringBuilder();

    private HeaderCheck(String target, List<String> options) {
        this.target = target;
        this.options = options;
    }

    static HeaderCheck of(String target, String... options) {
        return new HeaderCheck(target, List.of(options));
    }

    static boolean isAvailable() {
        return Optional.ofNullable(System.getenv("PATH")).stream().flatMap(path -> List.of(path.split(":")).stream())
                .anyMatch(directory -> Path.of(directory, "clang").toFile().canExecute());
    }

    HeaderCheck line(String text) {
        source.append(text).append('\n');
        return this;
    }

    HeaderCheck include(String... headers) {
        for (String header : headers) {
            line("#include <" + header + ">");
        }
        return this;
    }

    /** The expression has this value. */
    HeaderCheck has(String expression, long value) {
        return line("_Static_assert((" + expression + ") == (" + value + "L), \"" + expression + "\");");
    }

    /** A macro has this value; zero says that the platform has no such macro. */
    HeaderCheck macro(String name, long value) {
        line("#ifdef " + name);
        has(name, value);
        line("#else");
        if (value != 0) {
            line("#error " + name + " is not known");
        }
        return line("#endif");
    }

    /** What the compiler objects to: nothing, if all holds. */
    String complaints() throws IOException {
        List<String> command = new ArrayList<>(List.of("clang", "--target=" + target, "-std=gnu17", "-fsyntax-only",
                "-Wno-everything", "-ferror-limit=0", "-ffreestanding", "-nostdlibinc"));
        command.addAll(options);
        command.addAll(List.of("-x", "c", "-"));
        Process clang = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (var input = clang.getOutputStream()) {
            input.write(source.toString().getBytes(StandardCharsets.UTF_8));
        }
        String said = new String(clang.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return clang.onExit().join().exitValue() == 0 ? "" : said;
    }
}
