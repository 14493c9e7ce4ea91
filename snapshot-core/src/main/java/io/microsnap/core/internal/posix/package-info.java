/**
 * The operating system. {@code Posix} has the system calls under their own names, with raw results; one implementation
 * for Linux, one for macOS, and tests put a failing one in its place. {@code Constants} has the numbers that differ.
 * {@code Descriptor} owns an open file: it retries, finishes short transfers and turns results into exceptions. This is
 * the only package of the module that links native code.
 */
package io.microsnap.core.internal.posix;
