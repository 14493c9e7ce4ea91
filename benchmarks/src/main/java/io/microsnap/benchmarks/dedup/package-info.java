/** Deduplication beside C, and what it does to whoever reads afterwards. */
package io.microsnap.benchmarks.dedup;
