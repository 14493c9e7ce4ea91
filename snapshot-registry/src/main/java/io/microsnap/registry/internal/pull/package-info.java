/** Brings a snapshot out of a registry into a store: what the store has is not fetched, what arrives is verified. */
package io.microsnap.registry.internal.pull;
