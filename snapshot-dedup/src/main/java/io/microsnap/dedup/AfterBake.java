package io.microsnap.dedup;

import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;

/**
 * What a VM manager calls when it has baked a snapshot: lets it share blocks with the sibling most like it, if it can.
 * A snapshot that cannot be deduplicated is as good as one that can: nothing is ever thrown, and whatever goes wrong is
 * in the outcome, the log and the flight recorder.
 */
public final class AfterBake {
    /** The environment variable that switches this off when it is {@code 0}. */
    public static final String SWITCH = "MICROSNAP_AUTO_DEDUP";

    private static final String OFF = "0";

    private final StoreDeduplicator deduplicator;
    private final SiblingPolicy policy;
    private final DedupOptions options;
    private final boolean enabled;

    /** With the most alike sibling and default options, unless the environment switches it off. */
    public AfterBake(SnapshotStore store) {
        this(store, SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS, isEnabledBy(System.getenv()));
    }

    /** Whatever the environment says. */
    public AfterBake(SnapshotStore store, SiblingPolicy policy, DedupOptions options, boolean enabled) {
        this.deduplicator = new StoreDeduplicator(store);
        this.policy = policy;
        this.options = options;
        this.enabled = enabled;
    }

    /** Whether an environment leaves this on. */
    static boolean isEnabledBy(Map<String, String> environment) {
        return !OFF.equals(environment.get(SWITCH));
    }

    /** Shares what can be shared. The snapshot may be used, and should not be deleted, meanwhile. */
    public DedupOutcome baked(SnapshotId fresh) {
        if (!enabled) {
            return new DedupOutcome.LeftAlone(
                    Reason.SWITCHED_OFF, "sharing after a bake is switched off", Optional.empty());
        }
        try {
            return deduplicator.deduplicate(fresh, policy, options);
        } catch (IOException | RuntimeException failure) {
            return new DedupOutcome.Failed(failure);
        }
    }
}
