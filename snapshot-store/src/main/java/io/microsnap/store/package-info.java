/** The directory of snapshots: its manifest and index files, publication, listing, deletion, recovery. */
package io.microsnap.store;
