/** How work ends: threads that are waited for, failures that are passed on, resources that are closed together. */
package io.microsnap.core.internal.work;
