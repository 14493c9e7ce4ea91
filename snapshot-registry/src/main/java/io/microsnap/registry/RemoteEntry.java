package io.microsnap.registry;

import io.microsnap.store.Manifest;

/**
 * A snapshot in a repository.
 *
 * @param tag the tag by which it was found
 * @param digest of its artifact
 * @param manifest its manifest
 * @param lengthBytes the size of the artifact's blobs in the registry, shared ones included
 */
public record RemoteEntry(String tag, String digest, Manifest manifest, long lengthBytes) {
}
