package io.microsnap.cli;

import picocli.CommandLine.Option;

/** The options of every command. */
final class CommonOptions {
    @Option(names = "--json", description = "Print one JSON document on standard output, and nothing else there.")
    boolean json;

    @Option(names = "--verbose", description = "Print a stack trace with an error.")
    boolean verbose;

    @Option(names = "--quiet", description = "Print errors only.")
    boolean quiet;
}
