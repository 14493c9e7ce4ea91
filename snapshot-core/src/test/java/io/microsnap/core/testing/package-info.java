/** What the tests of every module use to make the operating system fail, stop and die. */
package io.microsnap.core.testing;
