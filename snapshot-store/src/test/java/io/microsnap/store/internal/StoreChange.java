package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;

import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.store.SnapshotEntry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Every way in which a store changes, with what is in it before and after. */
enum StoreChange {
    PUBLISH("bystander=1", "bystander=1,changed=2") {
        @Override
        void make(DirectoryStore store) throws IOException {
            Snapshots.publish(store, "changed", 2);
        }
    },
    PUBLISH_DIFF("bystander=1", "bystander=1,changed=2") {
        @Override
        void make(DirectoryStore store) throws IOException {
            Snapshots.publishDiff(store, "changed", "bystander", 2);
        }
    },
    REPLACE("bystander=1,changed=1", "bystander=1,changed=2") {
        @Override
        void make(DirectoryStore store) throws IOException {
            Snapshots.publish(store, "changed", 2, IfExists.REPLACE);
        }
    },
    DELETE("bystander=1,changed=1", "bystander=1") {
        @Override
        void make(DirectoryStore store) throws IOException {
            store.delete(id("changed"));
        }
    },
    HINT("bystander=1 old", "bystander=1 new") {
        @Override
        void make(DirectoryStore store) throws IOException {
            hint(store, "new");
        }
    },
    EXCHANGE_IMAGE("bystander=1", "bystander=1") {
        @Override
        void make(DirectoryStore store) throws IOException {
            try (StoredSnapshot held = store.hold(id("bystander"));
                    StagedReplacement image = store.stageImage(held, held.image())) {
                if (image.descriptor().sizeBytes() == 0) {
                    FileCopy.fill(held.image(), image.descriptor(), Progress.NONE);
                }
                image.commit();
            }
        }
    };

    private final String before;
    private final String after;

    StoreChange(String before, String after) {
        this.before = before;
        this.after = after;
    }

    abstract void make(DirectoryStore store) throws IOException;

    Set<String> before() {
        return Set.of(before.split(",", -1));
    }

    Set<String> after() {
        return Set.of(after.split(",", -1));
    }

    /** Brings a store, whatever was done to it, to the state before the change. */
    void prepare(DirectoryStore store) throws IOException {
        Set<String> found = contents(store);
        if (found.equals(before())) {
            return;
        }
        if (found.isEmpty()) {
            Snapshots.publish(store, "bystander", 1);
        }
        switch (this) {
            case PUBLISH, PUBLISH_DIFF -> {
                if (found.equals(after())) {
                    store.delete(id("changed"));
                }
            }
            case REPLACE, DELETE -> Snapshots.publish(store, "changed", 1, IfExists.REPLACE);
            case HINT -> hint(store, "old");
            case EXCHANGE_IMAGE -> { }
        }
    }

    /** Every snapshot with the generation that all of its bytes have, and its hint. */
    static Set<String> contents(DirectoryStore store) throws IOException {
        Set<String> contents = new TreeSet<>();
        for (SnapshotEntry entry : store.list()) {
            String hint = "";
            if (entry instanceof SnapshotEntry.Damaged damaged) {
                contents.add(damaged.toString());
                continue;
            }
            try (StoredSnapshot held = store.hold(id(entry.name()))) {
                Optional<Descriptor> found = held.hint(SnapshotFiles.WORKING_SET);
                if (found.isPresent()) {
                    hint = " " + Snapshots.read(found.get());
                }
            }
            contents.add(entry.name() + "=" + Snapshots.verify(store, entry.name()) + hint);
        }
        return contents;
    }

    private static void hint(DirectoryStore store, String text) throws IOException {
        store.addHint(id("bystander"), SnapshotFiles.WORKING_SET,
                ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }
}
