/** Measures microsnap: JMH for its parts, whole-path scenarios beside native peers. */
package io.microsnap.benchmarks;
