/**
 * Calls Hypervisor.framework: its functions under their own names with raw results, their structures and numbers. The
 * only package of this module that links native code.
 */
package io.microsnap.hvf.internal.binding;
