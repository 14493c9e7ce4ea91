/** Measures with JMH, allocation profiled, what users of the library call in loops. */
package io.microsnap.benchmarks.parts;
