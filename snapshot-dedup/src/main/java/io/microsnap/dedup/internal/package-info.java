/** How the sibling of a snapshot is chosen: by what page indexes tell, without reading an image. */
package io.microsnap.dedup.internal;
