/** What a scenario is: two sides that do one job, a target, and what both work with. */
package io.microsnap.benchmarks.scenario;
