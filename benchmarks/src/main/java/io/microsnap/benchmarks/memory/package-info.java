/** Captures and restores beside C. */
package io.microsnap.benchmarks.memory;
