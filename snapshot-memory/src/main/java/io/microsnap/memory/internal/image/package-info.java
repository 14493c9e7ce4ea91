/**
 * From page runs to an image: the one pass over guest bytes that finds zeros, compares with a base, takes checksums and
 * writes; the threads it runs in; images on plain paths.
 */
package io.microsnap.memory.internal.image;
