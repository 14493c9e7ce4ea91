package io.microsnap.core.testing;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * What a power failure may leave of a directory. It records every change and every sync that goes through a
 * {@link FaultyPosix}, and then builds each state that the recorded syncs allow: for a failure after any call, what was
 * synced is there, and of the rest any part, in any order, pages of one write torn apart.
 *
 * <p>The model is weaker than any real filesystem: a change to a directory lasts only from a sync of that directory (of
 * a rename: of either directory, and it is never halved), a change to a file only from a sync of that file. Modes,
 * owners and times are left out.
 */
public final class PowerLoss {
    /** With this many changes at risk or fewer, every combination of them is built; with more, some. */
    private static final int ALL_COMBINATIONS = 8;
    private static final int RANDOM_COMBINATIONS = 24;

    private final Constants constants;
    private final Path root;
    private final Node tree;
    private final Map<Integer, Node> open = new HashMap<>();
    private final Node before;
    private final List<Event> events = new ArrayList<>();

    private PowerLoss(Posix posix, Path root) throws IOException {
        constants = posix.constants();
        this.root = root;
        before = Node.read(root);
        tree = before.copy(new HashMap<>());
    }

    /** Watches what is done to a directory through these calls from now on; what is there is taken to be durable. */
    public static PowerLoss watch(FaultyPosix calls, Path root) throws IOException {
        PowerLoss watching = new PowerLoss(calls.posix(), root);
        calls.after(watching::observe);
        return watching;
    }

    /** Looks at one state that may be found after the failure. */
    public interface Check {
        /**
         * Throws what is wrong with it.
         *
         * @param state the directory as it is found
         * @param complete whether the failure came after everything recorded had been done
         */
        void look(Path state, boolean complete) throws IOException;
    }

    /** How many syncs were recorded. */
    public int syncs() {
        return (int) events.stream().filter(event -> event.kind == Kind.SYNC).count();
    }

    /** What the sync with this number, from 0, was about. */
    public String describeSync(int number) {
        return events.stream().filter(event -> event.kind == Kind.SYNC).skip(number).findFirst().orElseThrow().name;
    }

    /** How many changes were recorded. */
    public int changes() {
        return events.size() - syncs();
    }

    /** Builds every state in a scratch directory and has it looked at; returns how many different ones there were. */
    public int everyState(Path scratch, RandomGenerator random, Check check) throws IOException {
        return everyState(-1, scratch, random, check);
    }

    /** As if one of the syncs had not been made. */
    public int everyStateWithout(int sync, Path scratch, RandomGenerator random, Check check) throws IOException {
        return everyState(sync, scratch, random, check);
    }

    private int everyState(int missing, Path scratch, RandomGenerator random, Check check) throws IOException {
        Set<String> seen = new HashSet<>();
        int built = 0;
        for (int end = 0; end <= events.size(); end++) {
            boolean complete = end == events.size();
            List<Integer> atRisk = atRisk(end, missing);
            for (BitSet lost : combinations(atRisk.size(), random)) {
                Node state = replay(end, atRisk, lost, random);
                String form = complete + state.form();
                if (seen.add(form)) {
                    Path directory = Files.createTempDirectory(scratch, "state-");
                    state.write(directory);
                    try {
                        check.look(directory, complete);
                    } catch (AssertionError | IOException | RuntimeException wrong) {
                        throw new AssertionError("power failure after " + end + " of " + events.size() + " calls"
                                + (complete ? "" : ", the next one " + events.get(end)) + "; lost: "
                                + lost.stream().mapToObj(index -> events.get(atRisk.get(index)).toString()).toList()
                                + ": " + wrong.getMessage(), wrong);
                    } finally {
                        remove(directory);
                    }
                    built++;
                }
            }
        }
        return built;
    }

    private List<Integer> atRisk(int end, int missing) {
        List<Integer> atRisk = new ArrayList<>();
        Set<Integer> synced = new HashSet<>();
        for (int index = end - 1; index >= 0; index--) {
            Event event = events.get(index);
            if (event.kind == Kind.SYNC) {
                if (numberOfSync(index) != missing) {
                    synced.add(event.node);
                }
            } else if (!synced.contains(event.node) && !(event.other >= 0 && synced.contains(event.other))) {
                atRisk.addFirst(index);
            }
        }
        return atRisk;
    }

    private int numberOfSync(int position) {
        int number = 0;
        for (int index = 0; index < position; index++) {
            number += events.get(index).kind == Kind.SYNC ? 1 : 0;
        }
        return number;
    }

    private static List<BitSet> combinations(int count, RandomGenerator random) {
        List<BitSet> combinations = new ArrayList<>();
        if (count <= ALL_COMBINATIONS) {
            for (long bits = 0; bits < 1L << count; bits++) {
                combinations.add(BitSet.valueOf(new long[] {bits}));
            }
            return combinations;
        }
        combinations.add(new BitSet());
        BitSet all = new BitSet();
        all.set(0, count);
        combinations.add(all);
        for (int single = 0; single < count; single++) {
            BitSet one = new BitSet();
            one.set(single);
            combinations.add(one);
            BitSet others = (BitSet) all.clone();
            others.clear(single);
            combinations.add(others);
        }
        for (int round = 0; round < RANDOM_COMBINATIONS; round++) {
            BitSet some = new BitSet();
            for (int index = 0; index < count; index++) {
                some.set(index, random.nextBoolean());
            }
            combinations.add(some);
        }
        return combinations;
    }

    private Node replay(int end, List<Integer> atRisk, BitSet lost, RandomGenerator random) {
        Map<Node, Node> copies = new HashMap<>();
        Node state = before.copy(copies);
        Map<Integer, Node> nodes = new HashMap<>();
        copies.values().forEach(node -> nodes.put(node.number, node));
        for (int index = 0; index < end; index++) {
            Event event = events.get(index);
            int risk = atRisk.indexOf(index);
            boolean gone = risk >= 0 && lost.get(risk);
            boolean torn = gone && event.kind == Kind.WRITE && random.nextInt(4) == 0;
            event.apply(nodes, gone && !torn, torn);
        }
        return state;
    }

    private void observe(FaultyPosix.Call call, long result) {
        if (result < 0) {
            return;
        }
        List<Object> arguments = call.arguments();
        switch (call.name()) {
            case "openat" -> opened((int) arguments.get(0), (String) arguments.get(1), (int) arguments.get(2),
                    (int) result);
            case "close" -> open.remove((int) arguments.get(0));
            case "mkdirat" -> link((int) arguments.get(0), (String) arguments.get(1), true);
            case "pwrite" -> write((int) arguments.get(0), (MemorySegment) arguments.get(1), (long) arguments.get(2),
                    result);
            case "ftruncate" -> add(Event.truncate(node(arguments.get(0)), (long) arguments.get(1)));
            case "copy_file_range" -> copy(node(arguments.get(0)), (long) arguments.get(1), node(arguments.get(2)),
                    (long) arguments.get(3), (int) result);
            case "renameat2" -> add(Event.rename(node(arguments.get(0)), (String) arguments.get(1),
                    node(arguments.get(2)), (String) arguments.get(3),
                    (int) arguments.get(4) == constants.RENAME_EXCHANGE));
            case "unlinkat" -> add(Event.unlink(node(arguments.get(0)), (String) arguments.get(1)));
            case "fsync", "fdatasync" -> add(Event.sync(node(arguments.get(0))));
            case "ioctl" -> {
                if (arguments.get(1).equals(constants.FICLONE)) {
                    throw new IllegalStateException("record on a filesystem without clones");
                }
            }
            default -> { }
        }
    }

    private Node node(Object descriptor) {
        return open.get((Integer) descriptor);
    }

    private void opened(int directory, String path, int flags, int descriptor) {
        Node parent = open.get(directory);
        if (directory == constants.AT_FDCWD) {
            Path top = root.toAbsolutePath().normalize();
            Path opened = Path.of(path).toAbsolutePath().normalize();
            if (opened.startsWith(top)) {
                open.put(descriptor, tree.find(top.relativize(opened)));
            }
        } else if (parent != null) {
            if ((flags & constants.O_CREAT) != 0 && !parent.children.containsKey(path)) {
                link(directory, path, false);
            }
            if ((flags & constants.O_TRUNC) != 0) {
                throw new IllegalStateException("the model knows no O_TRUNC");
            }
            open.put(descriptor, parent.children.get(path));
        }
    }

    private void link(int directory, String name, boolean isDirectory) {
        Node parent = open.get(directory);
        if (parent != null) {
            add(Event.create(parent, name, new Node(name, isDirectory)));
        }
    }

    private void write(int descriptor, MemorySegment bytes, long offset, long count) {
        add(Event.write(open.get(descriptor), offset, bytes.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE)));
    }

    private void copy(Node source, long sourceOffset, Node destination, long offset, int count) {
        if (destination != null) {
            if (source == null) {
                throw new IllegalStateException("copied from outside the directory that is watched");
            }
            add(Event.write(destination, offset,
                    Arrays.copyOfRange(source.content.bytes, (int) sourceOffset, (int) sourceOffset + count)));
        }
    }

    private void add(Event event) {
        if (event != null) {
            events.add(event);
            Map<Integer, Node> nodes = new HashMap<>();
            tree.collect(nodes);
            open.values().stream().filter(node -> node != null).forEach(node -> nodes.put(node.number, node));
            event.apply(nodes, false, false);
        }
    }

    private static void remove(Path directory) throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    private enum Kind {
        CREATE, WRITE, TRUNCATE, RENAME, UNLINK, SYNC
    }

    /** One change or sync; nodes are numbers, because each state has nodes of its own. */
    private static final class Event {
        private final Kind kind;
        private final int node;
        private final String name;
        private int other = -1;
        private String newName;
        private int moved;
        private int exchanged;
        private Node created;
        private long offset;
        private byte[] bytes;
        // Thousands of states differ in the order of a few changes: most contents come about again and again.
        private final IdentityHashMap<Content, Content> whole = new IdentityHashMap<>();
        private final IdentityHashMap<Content, Content> torn = new IdentityHashMap<>();

        private Event(Kind kind, Node node, String name) {
            this.kind = kind;
            this.node = node.number;
            this.name = name;
        }

        static Event create(Node directory, String name, Node created) {
            Event event = new Event(Kind.CREATE, directory, name);
            event.created = created;
            return event;
        }

        static Event write(Node file, long offset, byte[] bytes) {
            if (file == null) {
                return null;
            }
            Event event = new Event(Kind.WRITE, file, file.name);
            event.offset = offset;
            event.bytes = bytes;
            return event;
        }

        static Event truncate(Node file, long length) {
            if (file == null) {
                return null;
            }
            Event event = new Event(Kind.TRUNCATE, file, file.name);
            event.offset = length;
            return event;
        }

        static Event rename(Node from, String name, Node to, String newName, boolean exchange) {
            if (from == null || to == null) {
                return null;
            }
            Event event = new Event(Kind.RENAME, from, name);
            event.other = to.number;
            event.newName = newName;
            event.moved = from.children.get(name).number;
            event.exchanged = exchange ? to.children.get(newName).number : -1;
            return event;
        }

        static Event unlink(Node directory, String name) {
            return directory == null ? null : new Event(Kind.UNLINK, directory, name);
        }

        static Event sync(Node node) {
            return node == null ? null : new Event(Kind.SYNC, node, node.name);
        }

        void apply(Map<Integer, Node> nodes, boolean lost, boolean half) {
            Node at = nodes.get(node);
            switch (kind) {
                case CREATE -> {
                    Node fresh = created.copy(new HashMap<>());
                    nodes.put(fresh.number, fresh);
                    if (!lost) {
                        at.children.put(name, fresh);
                    }
                }
                case WRITE -> {
                    if (!lost && half) {
                        at.content = torn.computeIfAbsent(at.content, content ->
                                content.with(offset, Arrays.copyOf(bytes, bytes.length / 2)));
                    } else if (!lost) {
                        at.content = whole.computeIfAbsent(at.content, content -> content.with(offset, bytes));
                    }
                }
                case TRUNCATE -> {
                    if (!lost) {
                        at.content = whole.computeIfAbsent(at.content, content -> content.cut(offset));
                    }
                }
                case RENAME -> {
                    if (!lost) {
                        rename(nodes);
                    }
                }
                case UNLINK -> {
                    if (!lost) {
                        at.children.remove(name);
                    }
                }
                case SYNC -> { }
            }
        }

        /** What is renamed is the file, under whatever names the rest of the state knows it. */
        private void rename(Map<Integer, Node> nodes) {
            Node from = nodes.get(node);
            from.children.remove(name);
            nodes.get(other).children.put(newName, nodes.get(moved));
            if (exchanged >= 0) {
                from.children.put(name, nodes.get(exchanged));
            }
        }

        @Override
        public String toString() {
            return kind + " " + name + (newName == null ? "" : " to " + newName);
        }
    }

    /** A file or directory. */
    private static final class Node {
        private static int numbers;

        private final int number;
        private final String name;
        private final Map<String, Node> children;
        private Content content = Content.NONE;

        Node(String name, boolean directory) {
            this(next(), name, directory);
        }

        private Node(int number, String name, boolean directory) {
            this.number = number;
            this.name = name;
            children = directory ? new TreeMap<>() : null;
        }

        private static synchronized int next() {
            return numbers++;
        }

        static Node read(Path path) throws IOException {
            Node node = new Node(path.getFileName().toString(), Files.isDirectory(path));
            if (node.children == null) {
                node.content = new Content(Files.readAllBytes(path));
            } else {
                try (Stream<Path> inside = Files.list(path)) {
                    for (Path child : inside.toList()) {
                        node.children.put(child.getFileName().toString(), read(child));
                    }
                }
            }
            return node;
        }

        Node find(Path relative) {
            Node at = this;
            for (Path name : relative) {
                at = name.toString().isEmpty() || at == null ? at : at.children.get(name.toString());
            }
            return at;
        }

        Node copy(Map<Node, Node> copies) {
            Node copy = new Node(number, name, children != null);
            copies.put(this, copy);
            copy.content = content;
            if (children != null) {
                children.forEach((key, child) -> copy.children.put(key, child.copy(copies)));
            }
            return copy;
        }

        void collect(Map<Integer, Node> nodes) {
            nodes.put(number, this);
            if (children != null) {
                children.values().forEach(child -> child.collect(nodes));
            }
        }

        void write(Path path) throws IOException {
            for (Map.Entry<String, Node> child : children.entrySet()) {
                Path at = path.resolve(child.getKey());
                if (child.getValue().children == null) {
                    Files.write(at, child.getValue().content.bytes);
                } else {
                    Files.createDirectory(at);
                    child.getValue().write(at);
                }
            }
        }

        /** Equal for equal trees. */
        String form() {
            if (children == null) {
                return content.form();
            }
            StringBuilder form = new StringBuilder("{");
            children.forEach((key, child) -> form.append(key).append('=').append(child.form()).append(','));
            return form.append('}').toString();
        }
    }

    /** The bytes of a file, which states share: they never change. */
    private static final class Content {
        private static final Content NONE = new Content(new byte[0]);

        private final byte[] bytes;
        private String form;

        Content(byte[] bytes) {
            this.bytes = bytes;
        }

        Content with(long offset, byte[] written) {
            byte[] changed = Arrays.copyOf(bytes, Math.max(bytes.length, (int) offset + written.length));
            System.arraycopy(written, 0, changed, (int) offset, written.length);
            return new Content(changed);
        }

        Content cut(long length) {
            return new Content(Arrays.copyOf(bytes, (int) length));
        }

        /** Equal for equal bytes; computed once. */
        String form() {
            if (form == null) {
                form = bytes.length + ":" + Arrays.hashCode(bytes);
            }
            return form;
        }
    }
}
