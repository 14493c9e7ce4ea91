/**
 * The words every other module speaks: regions, guest layout, page readers, guest memory, machine
 * state, exceptions.
 */
package io.microsnap.core;
