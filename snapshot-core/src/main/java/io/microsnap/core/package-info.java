/** The words every other room speaks: regions, layouts, guest memory, page readers, snapshot names, failures. */
package io.microsnap.core;
