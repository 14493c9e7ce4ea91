/** Guests of Linux KVM: their memory, what they wrote, their machine state. */
package io.microsnap.kvm;
