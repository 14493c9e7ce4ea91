/** Finds out which pages restored guests touch, and reads those ahead. */
package io.microsnap.memory.internal.ahead;
