/** The {@code microsnap} command: parses, calls the library, prints. */
package io.microsnap.cli;
