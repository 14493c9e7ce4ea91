/**
 * Files and mappings. {@code StagedFile} writes a file that replaces another one atomically; {@code Reflink},
 * {@code FileCopy}, {@code Extents} and {@code DataRanges} clone, copy and describe sparse files; {@code Mapping} and
 * {@code GuestRam} map files and memory and know which of their ranges are populated. {@code Pages} compares pages and
 * finds zeros.
 */
package io.microsnap.core.internal.file;
