/** Shares between snapshots the pages that are the same. */
package io.microsnap.dedup;
