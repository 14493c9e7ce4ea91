package io.microsnap.benchmarks;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** Static state in every form that it has been seen in, and what resembles it but cannot change. */
@SuppressWarnings("unused")
final class StaticState {
    /** What has to be found. */
    static final List<String> FORMS = List.of("StaticState.notFinal", "StaticState.MAP", "StaticState.LIST",
            "StaticState.HOLDER", "StaticState.NUMBER", "StaticState.OF_THREAD", "StaticState.BUFFER",
            "StaticState.COUNTER", "StaticState.CACHE", "StaticState.INSIDE_A_LIST", "StaticState.AS_AN_OBJECT");

    static int notFinal;
    static final Map<String, String> MAP = new ConcurrentHashMap<>();
    static final List<String> LIST = new ArrayList<>();
    static final int[] HOLDER = new int[1];
    static final AtomicInteger NUMBER = new AtomicInteger();
    static final ThreadLocal<String> OF_THREAD = new ThreadLocal<>();
    static final ByteBuffer BUFFER = ByteBuffer.allocate(1);
    static final Counter COUNTER = new Counter();
    static final Cache CACHE = new Cache(new HashMap<>());
    static final List<Counter> INSIDE_A_LIST = List.of(new Counter());
    static final Object AS_AN_OBJECT = new HashMap<>();

    static final Map<String, Integer> UNCHANGING_MAP = Map.of("a", 1);
    static final List<String> UNCHANGING_LIST = Collections.unmodifiableList(new ArrayList<>());
    static final int[] NOTHING = {};
    static final Cache UNCHANGING_RECORD = new Cache(Map.of());

    private StaticState() {
    }

    static final class Counter {
        int count;
    }

    record Cache(Map<String, String> entries) {
    }
}
