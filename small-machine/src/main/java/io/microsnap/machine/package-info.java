/**
 * A small machine that runs on KVM: memory, vCPUs and a few short guest programs, for the demo, tests and benchmarks.
 * What it can run is 16-bit real mode with 32-bit addresses, which every KVM runs; nothing outside depends on that.
 */
package io.microsnap.machine;
