/**
 * Measures microsnap. A {@link io.microsnap.benchmarks.Scenario} times a whole path beside a native peer that does the
 * same job in the same run, in a JVM of its own. Classes named {@code …Benchmark} are JMH's, for parts that callers
 * run in loops.
 */
package io.microsnap.benchmarks;
