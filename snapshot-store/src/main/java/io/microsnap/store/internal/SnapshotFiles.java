package io.microsnap.store.internal;

import java.util.Set;

/** The names of the files in a snapshot's directory. */
public final class SnapshotFiles {
    /** The manifest. */
    public static final String MANIFEST = "snapshot.json";
    /** Guest RAM, region after region. */
    public static final String MEMORY = "memory.img";
    /** The page map, of an image that has a base. */
    public static final String PAGE_MAP = "memory.map";
    /** The page index. */
    public static final String PAGE_INDEX = "memory.idx";
    /** State of vCPUs and devices. */
    public static final String MACHINE = "machine.bin";
    /** The directory of files that must be of the same moment as the memory. */
    public static final String ATTACHMENTS = "attachments";
    /** The hint that tells which pages a restored guest touches first. */
    public static final String WORKING_SET = "working-set.map";

    public static final String ATTACHMENT_PREFIX = ATTACHMENTS + "/";
    public static final Set<String> FIXED = Set.of(MEMORY, PAGE_MAP, PAGE_INDEX, MACHINE);
    static final Set<String> HINTS = Set.of(WORKING_SET);

    private static final int LONGEST_ATTACHMENT = 128;

    private SnapshotFiles() {
    }

    /** Returns the manifest's name for an attachment. Refuses names that could lead outside of the snapshot. */
    public static String attachment(String name) {
        boolean wellFormed = !name.isEmpty() && name.length() <= LONGEST_ATTACHMENT && name.charAt(0) != '.'
                && name.chars().allMatch(SnapshotFiles::allowed);
        if (!wellFormed) {
            throw new IllegalArgumentException("'" + Printable.of(name)
                    + "' cannot name an attachment: a name has 1 to " + LONGEST_ATTACHMENT
                    + " letters, digits, '.', '_', '-' and does not start with '.'");
        }
        return ATTACHMENT_PREFIX + name;
    }

    /** Returns whether a manifest's file is an attachment. */
    public static boolean isAttachment(String file) {
        return file.startsWith(ATTACHMENT_PREFIX);
    }

    private static boolean allowed(int character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z')
                || (character >= '0' && character <= '9') || character == '.' || character == '_' || character == '-';
    }
}
