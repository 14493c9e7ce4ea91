package io.microsnap.store.internal;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import java.util.Map;

/**
 * A snapshot cannot be deleted or replaced, because another one may require it as its base: the manifest of that one
 * cannot be read, so the store assumes the worst.
 */
public final class DependentsUnknownException extends SnapshotException {
    private static final long serialVersionUID = 1L;

    /** @param unreadable why a manifest cannot be read, by the name of its snapshot; not empty */
    public DependentsUnknownException(SnapshotId id, Map<String, String> unreadable) {
        super(id + " may be the base of " + first(unreadable).getKey()
                + (unreadable.size() > 1 ? " and " + (unreadable.size() - 1) + " more" : "")
                + ", whose manifest cannot be read: " + first(unreadable).getValue()
                + "; remove the cause, or delete that one first, or delete by force");
    }

    private static Map.Entry<String, String> first(Map<String, String> unreadable) {
        return unreadable.entrySet().iterator().next();
    }
}
