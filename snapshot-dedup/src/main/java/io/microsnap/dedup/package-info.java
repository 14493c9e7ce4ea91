/** What is already stored is not stored again: images that hold equal pages come to share their blocks. */
package io.microsnap.dedup;
