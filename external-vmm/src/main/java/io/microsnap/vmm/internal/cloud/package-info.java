/** What is Cloud Hypervisor's alone: its API, and the table that says what is where in its memory file. */
package io.microsnap.vmm.internal.cloud;
