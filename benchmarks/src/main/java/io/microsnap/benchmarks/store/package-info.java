/** Publishing, listing and indexing beside C. */
package io.microsnap.benchmarks.store;
