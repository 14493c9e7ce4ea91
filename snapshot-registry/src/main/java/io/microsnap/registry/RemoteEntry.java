package io.microsnap.registry;

import io.microsnap.store.Manifest;

/**
 * A snapshot in a repository.
 *
 * @param tag by which it was found
 * @param digest of its artifact
 * @param manifest what is known of it
 * @param lengthBytes what the artifact's blobs take in the registry, those that it shares with others included
 */
public record RemoteEntry(String tag, String digest, Manifest manifest, long lengthBytes) {
}
