/** Brings a snapshot into a registry: what is there already is named, the rest is compressed and sent. */
package io.microsnap.registry.internal.push;
