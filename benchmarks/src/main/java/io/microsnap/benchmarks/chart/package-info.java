/** Draws charts as SVG: scales, marks and labels, without knowing what was measured. */
package io.microsnap.benchmarks.chart;
