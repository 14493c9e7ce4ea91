/** What it costs to know what changed: bitmaps and page map scans beside C; what threads may see of each other. */
package io.microsnap.benchmarks.dirty;
