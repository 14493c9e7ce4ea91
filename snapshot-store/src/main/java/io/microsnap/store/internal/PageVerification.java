package io.microsnap.store.internal;

/** Whether copying out of a store checks pages against the page index. */
public enum PageVerification {
    /** Every page is checked: a bad one causes a {@link io.microsnap.core.DamagedException}, and no copy appears. */
    EVERY_PAGE,
    /** No page is checked: cloned files are not even read. */
    NONE
}
