/** What {@code linux/kvm.h} says: requests, structs and numbers under the kernel's names, and nothing that decides. */
package io.microsnap.kvm.internal.abi;
