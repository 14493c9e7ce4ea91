/** Watches guests for hypervisors that keep no log of what was written, by protecting memory against writes. */
package io.microsnap.dirty.internal;
