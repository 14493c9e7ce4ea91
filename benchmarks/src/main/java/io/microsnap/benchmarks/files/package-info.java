/** System calls, pages and copies beside C. */
package io.microsnap.benchmarks.files;
