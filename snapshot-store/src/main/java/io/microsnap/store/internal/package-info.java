/**
 * How a store lies on disk. {@code DirectoryStore} is where modules above begin: it stages snapshots
 * ({@code StagedSnapshot}) and opens published ones ({@code StoredSnapshot}), whose manifest, page map and page index
 * are read and written here. {@code StoreDirectory}, {@code StagingArea} and {@code Publication} keep every change
 * whole.
 */
package io.microsnap.store.internal;
