/** Where guest bytes come from: this process's memory, another's, a file, a snapshot, a test's own bytes. */
package io.microsnap.memory.reader;
