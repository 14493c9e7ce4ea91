/**
 * Files as snapshots need them: staged, sparse, reflinked, durable; and what is done to whole pages
 * of them.
 */
package io.microsnap.core.internal.file;
