/** Finds artifacts in a repository and reads what they say, before any of it is believed. */
package io.microsnap.registry.internal.remote;
