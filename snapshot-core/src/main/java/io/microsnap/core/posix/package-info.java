/** System calls in the words of the C library, one implementation for each platform. */
package io.microsnap.core.posix;
