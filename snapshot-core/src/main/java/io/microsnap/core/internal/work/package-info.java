/**
 * Threads that work for one caller ({@code Workers}), and how work ends: threads that are waited for, failures that are
 * passed on, resources that are closed together.
 */
package io.microsnap.core.internal.work;
