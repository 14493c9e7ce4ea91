package io.microsnap.hvf.internal.binding;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.testing.MacCalls;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** How each call is made on macOS/AArch64, by the JDK's own code for that platform. */
class LoweringTest {
    @Test
    void everyArgumentOfEveryCallTravelsInItsRegister() throws HypervisorException {
        for (Downcall call : functions().all()) {
            List<String> expected = new ArrayList<>();
            for (MemoryLayout argument : call.function().argumentLayouts()) {
                String register = "x" + expected.size();
                expected.add(register + switch (argument) {
                    case ValueLayout.OfChar ignored -> " int CHAR_TO_INT";
                    case ValueLayout.OfBoolean ignored -> " int BOOLEAN_TO_INT";
                    case ValueLayout.OfInt ignored -> " int";
                    default -> " long";
                });
            }
            assertThat(places(call)).as(call.name()).isEqualTo(expected);
        }
    }

    @Test
    void theNarrowArgumentsAreTheseAndNoOthers() throws HypervisorException {
        Map<String, List<String>> narrow = new TreeMap<>();
        for (Downcall call : functions().all()) {
            List<String> places = places(call).stream().filter(place -> place.contains("_TO_")).toList();
            if (!places.isEmpty()) {
                narrow.put(call.name(), places);
            }
        }
        assertThat(narrow).isEqualTo(Map.of(
                "hv_vcpu_get_sys_reg", List.of("x1 int CHAR_TO_INT"),
                "hv_vcpu_set_sys_reg", List.of("x1 int CHAR_TO_INT"),
                "hv_gic_get_icc_reg", List.of("x1 int CHAR_TO_INT"),
                "hv_gic_set_icc_reg", List.of("x1 int CHAR_TO_INT"),
                "hv_vcpu_set_pending_interrupt", List.of("x2 int BOOLEAN_TO_INT"),
                "hv_vcpu_set_vtimer_mask", List.of("x1 int BOOLEAN_TO_INT")));
    }

    /** The code of ours finds the vector's address in x2 and the function's in x3; it leaves x0 and w1 as they are. */
    @Test
    void aVectorTravelsByItsAddressBesideTheFunctionItIsFor() {
        Downcall call = Downcall.at(MemorySegment.ofAddress(16), "set a vector", Downcall.INT, Downcall.LONG,
                Downcall.INT, Downcall.POINTER, Downcall.POINTER);
        assertThat(places(call)).containsExactly("x0 long", "x1 int", "x2 long", "x3 long");
    }

    @Test
    void asAShortAnIdentifierWouldLoseItsSign() {
        FunctionDescriptor function = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_SHORT, ValueLayout.JAVA_LONG);
        assertThat(MacCalls.arguments(function)).element(1).asString().contains("SHORT_TO_INT");
    }

    private static List<String> places(Downcall call) {
        return MacCalls.arguments(call.function());
    }

    /** Looking up asks for an address; nothing is called. */
    static NativeFramework.Functions functions() throws HypervisorException {
        return NativeFramework.Functions.of(name -> Optional.of(MemorySegment.ofAddress(16)),
                name -> Optional.of(MemorySegment.ofAddress(16)));
    }
}
