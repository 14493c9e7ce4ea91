/** What tests stand on: real filesystems, a C compiler, child processes. */
package io.microsnap.testsupport;
