/** What changed since when: dirty bitmaps, trackers, epochs. */
package io.microsnap.dirty;
