/** KVM guests: harvests, machine state and pauses beside C. */
package io.microsnap.benchmarks.kvm;
