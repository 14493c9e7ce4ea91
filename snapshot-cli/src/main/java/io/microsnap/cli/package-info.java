/**
 * The {@code microsnap} command. Each subcommand is a class that parses its options, calls the library and prints the
 * outcome as text or JSON; {@code Failure} and {@code ExitStatus} decide how failures end.
 */
package io.microsnap.cli;
