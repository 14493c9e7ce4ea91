package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotReference;
import java.util.Collections;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * What a capture says about a snapshot; the manifest adds what the store knows. Begin with {@link #full}, {@link
 * #fullOnto} or {@link #diff} and add to it: {@code
 * SnapshotDescription.full(layout).withImage("debian-13").withLabel("team", "a")}.
 *
 * @param kind which pages its image holds
 * @param layout the guest's regions and page size
 * @param parent the snapshot it was captured relative to
 * @param base the image it was cloned from (full) or needs (diff)
 * @param image the guest image it was baked from
 * @param bakedByVersion the version of the software that baked it
 * @param labels keys and values by which users find it
 * @param requires features without which it must not be restored
 */
public record SnapshotDescription(SnapshotKind kind, GuestLayout layout, Optional<SnapshotReference> parent,
        Optional<SnapshotReference> base, Optional<String> image, Optional<String> bakedByVersion,
        SortedMap<String, String> labels, SortedSet<String> requires) {
    /** The largest image a store takes: 64 TiB. */
    public static final long LARGEST_IMAGE_BYTES = 1L << 46;

    private static final int LONGEST_TEXT = 4096;
    private static final int MOST_LABELS = 256;
    private static final int MOST_FEATURES = 64;
    private static final int MOST_REGIONS = 4096;
    private static final Pattern LABEL = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._/-]{0,127}");
    private static final Pattern FEATURE = Pattern.compile("[a-z0-9][a-z0-9.-]{0,63}");

    /** Throws {@link IllegalArgumentException} for values that a manifest cannot hold. */
    public SnapshotDescription {
        Objects.requireNonNull(kind);
        if (layout.lengthBytes() > LARGEST_IMAGE_BYTES) {
            throw new IllegalArgumentException("an image of " + layout.lengthBytes() + " bytes is larger than "
                    + LARGEST_IMAGE_BYTES + ", the largest a store takes");
        }
        if (layout.regions().size() > MOST_REGIONS) {
            throw new IllegalArgumentException(layout.regions().size() + " regions; " + MOST_REGIONS + " are allowed");
        }
        if (kind == SnapshotKind.DIFF && base.isEmpty()) {
            throw new IllegalArgumentException("a diff needs a base");
        }
        image.ifPresent(text -> requireText("image", text));
        bakedByVersion.ifPresent(text -> requireText("baked_by_version", text));
        if (labels.size() > MOST_LABELS) {
            throw new IllegalArgumentException(labels.size() + " labels; " + MOST_LABELS + " are allowed");
        }
        labels.forEach((key, value) -> {
            if (!LABEL.matcher(key).matches()) {
                throw new IllegalArgumentException("'" + Printable.of(key) + "' cannot name a label: 1 to 128 letters, "
                        + "digits, '.', '_', '/', '-', the first a letter or digit");
            }
            requireText("label " + key, value);
        });
        if (requires.size() > MOST_FEATURES) {
            throw new IllegalArgumentException(requires.size() + " features; " + MOST_FEATURES + " are allowed");
        }
        for (String feature : requires) {
            if (!FEATURE.matcher(feature).matches()) {
                throw new IllegalArgumentException("'" + Printable.of(feature) + "' cannot name a feature: 1 to 64 "
                        + "lower-case letters, digits, '.', '-', the first a letter or digit");
            }
        }
        labels = Collections.unmodifiableSortedMap(new TreeMap<>(labels));
        requires = Collections.unmodifiableSortedSet(new TreeSet<>(requires));
    }

    /** Describes an image that holds every page and was made without a base. */
    public static SnapshotDescription full(GuestLayout layout) {
        return new SnapshotDescription(SnapshotKind.FULL, layout, Optional.empty(), Optional.empty(), Optional.empty(),
                Optional.empty(), Collections.emptySortedMap(), Collections.emptySortedSet());
    }

    /** Describes an image that holds every page and was cloned from a base, which may vanish. */
    public static SnapshotDescription fullOnto(GuestLayout layout, SnapshotReference base) {
        return new SnapshotDescription(SnapshotKind.FULL, layout, Optional.empty(), Optional.of(base), Optional.empty(),
                Optional.empty(), Collections.emptySortedMap(), Collections.emptySortedSet());
    }

    /** Describes an image that holds only the pages its page map names, and needs its base for the others. */
    public static SnapshotDescription diff(GuestLayout layout, SnapshotReference base) {
        return new SnapshotDescription(SnapshotKind.DIFF, layout, Optional.empty(), Optional.of(base), Optional.empty(),
                Optional.empty(), Collections.emptySortedMap(), Collections.emptySortedSet());
    }

    /** Sets the snapshot that it was captured relative to. */
    public SnapshotDescription withParent(SnapshotReference newParent) {
        return new SnapshotDescription(
                kind, layout, Optional.of(newParent), base, image, bakedByVersion, labels, requires);
    }

    /** Sets the guest image that it was baked from. */
    public SnapshotDescription withImage(String newImage) {
        return new SnapshotDescription(
                kind, layout, parent, base, Optional.of(newImage), bakedByVersion, labels, requires);
    }

    /** Sets the version of the software that baked it. */
    public SnapshotDescription withBakedByVersion(String version) {
        return new SnapshotDescription(kind, layout, parent, base, image, Optional.of(version), labels, requires);
    }

    /** Adds a label, or replaces its value. */
    public SnapshotDescription withLabel(String key, String value) {
        SortedMap<String, String> more = new TreeMap<>(labels);
        more.put(key, value);
        return new SnapshotDescription(kind, layout, parent, base, image, bakedByVersion, more, requires);
    }

    /** Adds a feature without which it must not be restored. */
    public SnapshotDescription withRequired(String feature) {
        SortedSet<String> more = new TreeSet<>(requires);
        more.add(feature);
        return new SnapshotDescription(kind, layout, parent, base, image, bakedByVersion, labels, more);
    }

    /** Returns the base, if it must be there: a diff's. */
    public Optional<SnapshotReference> requiredBase() {
        return kind == SnapshotKind.DIFF ? base : Optional.empty();
    }

    private static void requireText(String what, String text) {
        if (text.length() > LONGEST_TEXT || !Printable.isPlain(text)) {
            throw new IllegalArgumentException(what + " '" + Printable.of(text) + "' has more than " + LONGEST_TEXT
                    + " characters, or control characters among them");
        }
    }
}
