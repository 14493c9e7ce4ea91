package io.microsnap.store.internal;

/** Whether what is copied out of a store is held against its page index on the way. */
public enum PageVerification {
    /** Every page is: a bad one is a {@link io.microsnap.core.DamagedException}, and nothing appears. */
    EVERY_PAGE,
    /** None is: what is only cloned is not even read. */
    NONE
}
