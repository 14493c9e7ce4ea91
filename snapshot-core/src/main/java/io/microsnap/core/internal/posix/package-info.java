/** The operating system in libc's own words: raw system calls with raw results, errno as a type, owned descriptors. */
package io.microsnap.core.internal.posix;
