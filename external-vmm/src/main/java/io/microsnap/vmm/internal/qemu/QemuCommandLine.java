package io.microsnap.vmm.internal.qemu;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Removes secrets from a QEMU's command line, and turns it into the command line of a copy. */
public final class QemuCommandLine {
    /** Replaces a secret. */
    public static final String REDACTED = "REDACTED";

    // A secret's value; "password-secret=ID" and the like only name an object, and "password=on" is a switch.
    private static final Pattern SECRET = Pattern.compile(
            "(?i)((?:^|[,{\\s])\"?(?!(?:[a-z0-9_.-]*-)secret\\b)"
                    + "(?:[a-z0-9_.-]*(?:password|passwd|passphrase|token|secret)|data|string)\"?\\s*[=:]\\s*)"
                    + "(\"(?:[^\"\\\\]|\\\\.)*\"|(?:[^,}]|,,)+)");
    private static final Pattern USER_INFORMATION = Pattern.compile("(://[^/@:,\\s]*):[^/@\\s]+@");
    private static final Pattern SOCKET = Pattern.compile("(?:unix:|path\"?\\s?[=:]\\s?\"?)([^,\"]+)");
    private static final Pattern SWITCH = Pattern.compile("(?i)\"?(?:on|off|yes|no|true|false)\"?");

    private QemuCommandLine() {
    }

    /** Returns the arguments without the values of passwords, secret objects and the like. */
    public static List<String> withoutSecrets(List<String> words) {
        List<String> result = new ArrayList<>();
        for (String word : words) {
            String kept = USER_INFORMATION.matcher(word).replaceAll("$1:" + REDACTED + "@");
            result.add(SECRET.matcher(kept).replaceAll(QemuCommandLine::redact));
        }
        return result;
    }

    private static String redact(MatchResult found) {
        String value = found.group(2);
        if (SWITCH.matcher(value).matches()) {
            return Matcher.quoteReplacement(found.group());
        }
        return Matcher.quoteReplacement(found.group(1) + (value.startsWith("\"") ? "\"" + REDACTED + "\"" : REDACTED));
    }

    /**
     * Returns the command line of a copy that waits for its state: with the versioned machine and the copy's own files,
     * and without options that only the first start needs.
     *
     * @param disks the paths of disks to replace, and their replacements
     * @param ramFile the file that is its RAM
     * @param socket where it listens for QMP
     */
    public static List<String> forCopy(QemuDescription description, Map<String, String> disks, String ramFile,
            String socket) {
        List<String> result = new ArrayList<>();
        List<String> words = description.command();
        for (int index = 0; index < words.size(); index++) {
            String word = words.get(index);
            String option = word.startsWith("--") ? word.substring(1) : word;
            if (option.equals("-incoming") || option.equals("-pidfile") || option.equals("-loadvm")) {
                index++;
            } else if ((option.equals("-machine") || option.equals("-M")) && index + 1 < words.size()) {
                result.add(word);
                result.add(machine(words.get(++index), description.machine()));
            } else if (!option.equals("-S")) {
                String own = replace(memfdAsFile(word, description, ramFile), "unix|path", description.socket(),
                        socket);
                if (description.ramPath().isPresent()) {
                    own = replace(own, "mem-path", description.ramPath().get(), ramFile);
                }
                for (Map.Entry<String, String> disk : disks.entrySet()) {
                    own = own.equals(disk.getKey()) ? disk.getValue()
                            : replace(own, "file|filename", disk.getKey(), disk.getValue());
                }
                result.add(own);
            }
        }
        if (!words.contains("-machine") && !words.contains("-M") && !words.contains("--machine")) {
            result.add("-machine");
            result.add(description.machine());
        }
        result.add("-incoming");
        result.add("defer");
        return result;
    }

    private static String machine(String value, String versioned) {
        String[] parts = value.split(",", 2);
        if (parts[0].contains("=") && !parts[0].startsWith("type=")) {
            String rest = value.replaceAll("(^|,)type=[^,]*", "");
            return versioned + (rest.startsWith(",") ? rest : "," + rest);
        }
        return versioned + (parts.length > 1 ? "," + parts[1] : "");
    }

    /** Replaces whole paths, and only where the syntax has a path: a relative path may look like an id. */
    private static String replace(String word, String keys, String path, String by) {
        Pattern whole = Pattern.compile("(?<=(?:^|[,{\\s\"])(?:" + keys + ")\"?\\s?[=:]\\s?\"?)" + Pattern.quote(path)
                + "(?=$|[,\"])");
        return whole.matcher(word).replaceAll(Matcher.quoteReplacement(by));
    }

    private static String memfdAsFile(String word, QemuDescription description, String ramFile) {
        if (description.ramPath().isPresent() || !word.startsWith("memory-backend-memfd")
                || !word.matches(".*[,]id=" + Pattern.quote(description.ramId()) + "(,.*)?")) {
            return word;
        }
        String kept = word.substring("memory-backend-memfd".length())
                .replaceAll(",(hugetlb|hugetlbsize|seal)=[^,]*", "").replaceAll(",share=[^,]*", "");
        return "memory-backend-file" + kept + ",share=on,mem-path=" + ramFile;
    }

    /** Returns the paths of Unix sockets in the arguments. */
    public static List<String> sockets(List<String> words) {
        List<String> paths = new ArrayList<>();
        for (String word : words) {
            Matcher found = SOCKET.matcher(word);
            while (found.find()) {
                paths.add(found.group(1));
            }
        }
        return paths;
    }

    /** Quotes the arguments for a shell. */
    public static String quoted(List<String> words) {
        List<String> result = new ArrayList<>();
        for (String word : words) {
            result.add(word.matches("[A-Za-z0-9_@%+=:,./-]+") ? word : "'" + word.replace("'", "'\\''") + "'");
        }
        return String.join(" ", result);
    }
}
