/** Brings snapshots into OCI registries and out of them. {@code docs/registry-format.md} says how they lie there. */
package io.microsnap.registry;
