package io.microsnap.benchmarks;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Searches what a static field holds for state that can change,
        by value: a type does not tell a list from its copy. */
final class StateSearch {
    /** Their names begin so: state that changes, in the JDK. */
    private static final Set<String> CHANGING = Set.of("java.util.concurrent.atomic.", "java.lang.ThreadLocal",
            "java.lang.ref.", "java.lang.StringBu", "java.util.BitSet", "java.util.Random", "java.nio.",
            "jdk.internal.foreign.Native", "jdk.internal.foreign.Heap", "jdk.internal.foreign.Mapped");

    private static final Set<String> UNCHANGING_COLLECTIONS = Set.of("java.util.ImmutableCollections",
            "java.util.Collections$Unmodifiable", "java.util.Collections$Empty", "java.util.KeyValueHolder");

    private final Set<Object> seen = Collections.newSetFromMap(new IdentityHashMap<>());

    private StateSearch() {
    }

    /** Whether the static field, or anything of ours that can be reached from it, can change. */
    static boolean changes(Field field) {
        try {
            if (field.getType().isArray()) {
                field.setAccessible(true);
                return isHolder(field, field.get(null));
            }
            return new StateSearch().inField(field, null);
        } catch (ReflectiveOperationException failure) {
            throw new LinkageError(field + " cannot be looked into", failure);
        }
    }

    /** A longer array that one class keeps to itself is a table, as a rule. */
    private static boolean isHolder(Field field, Object array) {
        int length = Array.getLength(array);
        return length == 1 || (length > 1 && !Modifier.isPrivate(field.getModifiers()));
    }

    private boolean inField(Field field, Object owner) throws ReflectiveOperationException {
        if (field.getType().isPrimitive()) {
            return false;
        }
        field.setAccessible(true);
        return inValue(field.get(owner));
    }

    private boolean inValue(Object value) throws ReflectiveOperationException {
        if (value == null || !seen.add(value)) {
            return false;
        }
        Class<?> type = value.getClass();
        String name = type.getName();
        if (type.isArray()) {
            // The object around it answers for it: our values copy the arrays that they are given.
            return false;
        }
        if (value instanceof Collection<?> || value instanceof Map<?, ?>) {
            if (UNCHANGING_COLLECTIONS.stream().noneMatch(name::startsWith)) {
                return true;
            }
            Stream<?> elements = value instanceof Collection<?> collection ? collection.stream()
                    : ((Map<?, ?>) value).entrySet().stream()
                            .flatMap(entry -> Stream.of(entry.getKey(), entry.getValue()));
            for (Object element : elements.toList()) {
                if (inValue(element)) {
                    return true;
                }
            }
            return false;
        }
        return name.startsWith("io.microsnap.") ? inObject(value, type) : CHANGING.stream().anyMatch(name::startsWith);
    }

    private boolean inObject(Object value, Class<?> type) throws ReflectiveOperationException {
        for (Class<?> part = type; part.getName().startsWith("io.microsnap."); part = part.getSuperclass()) {
            for (Field field : part.getDeclaredFields()) {
                boolean ofInstance = !Modifier.isStatic(field.getModifiers());
                if (ofInstance && (!Modifier.isFinal(field.getModifiers()) || inField(field, value))) {
                    return true;
                }
            }
        }
        return false;
    }
}
