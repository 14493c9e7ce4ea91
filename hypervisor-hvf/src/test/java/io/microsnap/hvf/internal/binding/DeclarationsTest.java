package io.microsnap.hvf.internal.binding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.hvf.SystemRegister;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The binding beside the framework's declarations in C, which were written down apart from it. */
class DeclarationsTest {
    private static final Pattern PROTOTYPE =
            Pattern.compile("^(\\w[\\w ]*?[ *]+)(\\w+)\\((.*)\\);$", Pattern.MULTILINE);
    private static final Set<String> OF_THE_SYSTEM =
            Set.of("os_release", "mach_absolute_time", "sysctlbyname", "sys_icache_invalidate");

    @Test
    void everyFunctionIsBoundAsItIsDeclared() throws Exception {
        Map<String, List<String>> declared = new TreeMap<>();
        Matcher matcher = PROTOTYPE.matcher(header());
        while (matcher.find()) {
            List<String> types = new ArrayList<>(List.of(passedAs(matcher.group(1) + " result")));
            if (!matcher.group(3).equals("void")) {
                Stream.of(matcher.group(3).split(",", -1)).map(DeclarationsTest::passedAs).forEach(types::add);
            }
            declared.put(matcher.group(2), types);
        }
        assertThat(declared).hasSizeGreaterThan(30);
        // By value, which goes through code of our own.
        assertThat(declared.get("hv_vcpu_set_simd_fp_reg").removeLast()).isEqualTo("vector");
        Map<String, List<String>> bound = new TreeMap<>();
        for (Downcall call : LoweringTest.functions().all()) {
            List<String> types = new ArrayList<>();
            types.add(call.function().returnLayout().map(DeclarationsTest::passedAs).orElse("nothing"));
            call.function().argumentLayouts().stream().map(DeclarationsTest::passedAs).forEach(types::add);
            bound.put(call.name(), types);
        }
        assertThat(bound).isEqualTo(declared);
    }

    @Test
    void nothingIsBoundThatAppleDoesNotDocument() throws Exception {
        Set<String> documented = lines("documented-functions.txt").filter(line -> !line.startsWith("#"))
                .collect(Collectors.toCollection(TreeSet::new));
        Set<String> bound = LoweringTest.functions().all().stream().map(Downcall::name)
                .filter(name -> !OF_THE_SYSTEM.contains(name)).collect(Collectors.toCollection(TreeSet::new));
        assertThat(documented).containsAll(bound);
    }

    @Test
    void numbersAndLayoutsAreTheDeclaredOnes(CCompiler compiler, ChildProcesses processes) throws Exception {
        Map<String, Long> declared = declaredNumbers(compiler, processes);
        assertThat(numbers()).isEqualTo(new TreeMap<>(declared));
    }

    /** The same through the eyes of a compiler for the Mac. */
    @Test
    void theyAreTheSameOnAMac(@TempDir Path directory, ChildProcesses processes) throws Exception {
        assumeTrue(Stream.of(System.getenv("PATH").split(":", -1)).anyMatch(path -> Files.isExecutable(
                Path.of(path, "clang"))), "no clang on the path; to enable: sudo apt-get install clang");
        StringBuilder source = new StringBuilder("#include \"hypervisor.h\"\n");
        numbers().forEach((name, value) -> source.append("_Static_assert((long) (").append(name).append(") == ")
                .append(value).append("L, \"").append(name.replace("\"", "")).append("\");\n"));
        Files.writeString(directory.resolve("hypervisor.h"), header());
        Path file = Files.writeString(directory.resolve("check.c"), source);
        var exit = processes.command("clang", "-target", "arm64-apple-macosx13.0", "-ffreestanding", "-nostdlibinc",
                "-fsyntax-only", file.toString()).awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
    }

    private static Map<String, Long> declaredNumbers(CCompiler compiler, ChildProcesses processes) {
        var exit = processes.command(compiler.program(DeclarationsTest.class, "declarations.c", "hypervisor.h")
                .toString()).awaitExit();
        assertThat(exit.status()).isZero();
        return exit.output().lines().map(line -> line.split("=", 2))
                .collect(Collectors.toMap(words -> words[0], words -> Long.parseLong(words[1])));
    }

    /** What the binding says, by C's expressions for it. */
    private static Map<String, Long> numbers() throws IllegalAccessException {
        Map<String, Long> numbers = new TreeMap<>();
        for (Field field : Numbers.class.getFields()) {
            numbers.put(field.getName(), ((Number) field.get(null)).longValue());
        }
        for (HvReturn result : HvReturn.values()) {
            if (result != HvReturn.UNKNOWN) {
                numbers.put(result.name(), (long) result.number());
            }
        }
        numbers.put("sizeof(hv_vcpu_exit_t)", Structs.HV_VCPU_EXIT.byteSize());
        numbers.put("offsetof(hv_vcpu_exit_t, reason)",
                Structs.HV_VCPU_EXIT.byteOffset(PathElement.groupElement("reason")));
        for (String member : List.of("syndrome", "virtual_address", "physical_address")) {
            numbers.put("offsetof(hv_vcpu_exit_t, exception." + member + ")", Structs.HV_VCPU_EXIT.byteOffset(
                    PathElement.groupElement("exception"), PathElement.groupElement(member)));
        }
        Stream.of(SystemRegister.IDENTIFICATION, SystemRegister.SYSTEM, SystemRegister.KEYS, SystemRegister.TIMERS,
                List.of(SystemRegister.MPIDR_EL1)).flatMap(List::stream)
                .filter(register -> !register.name().matches("DBG.*([1-9]|1[0-4])_EL1|DBG(BCR|WVR|BVR|WCR)(0|15)_EL1")
                        || register.name().matches("DBG(BVR0|BCR0|WVR0|WCR0|BVR15|WCR15)_EL1"))
                .forEach(register -> numbers.put("HV_SYS_REG_" + register, (long) register.id()));
        SystemRegister.ICC.forEach(register -> numbers.put(
                "HV_GIC_ICC_REG_" + register.name().replace("ICC_", ""), (long) register.id()));
        return numbers;
    }

    /** How a C type is passed. */
    private static String passedAs(String declaration) {
        String type = declaration.strip().replaceFirst("^const ", "").replaceFirst("\\b\\w+$", "").strip();
        if (type.endsWith("*")) {
            return "pointer";
        }
        return switch (type) {
            case "void" -> "nothing";
            case "hv_return_t", "int", "uint32_t", "hv_reg_t", "hv_simd_fp_reg_t", "hv_interrupt_type_t",
                    "hv_ipa_granule_t" -> "32 bits";
            case "hv_vcpu_t", "hv_ipa_t", "hv_memory_flags_t", "uint64_t", "size_t" -> "64 bits";
            case "hv_sys_reg_t", "hv_gic_icc_reg_t" -> "16 bits, unsigned";
            case "bool" -> "boolean";
            case "hv_vm_config_t", "hv_vcpu_config_t", "hv_gic_config_t", "hv_gic_state_t" -> "pointer";
            case "hv_simd_fp_uchar16_t" -> "vector";
            default -> throw new IllegalArgumentException("what is " + type + " in " + declaration);
        };
    }

    private static String passedAs(MemoryLayout layout) {
        if (layout.equals(Downcall.INT)) {
            return "32 bits";
        }
        if (layout.equals(Downcall.LONG)) {
            return "64 bits";
        }
        if (layout.equals(Downcall.UNSIGNED_SHORT)) {
            return "16 bits, unsigned";
        }
        return layout.equals(Downcall.BOOLEAN) ? "boolean" : "pointer";
    }

    private static String header() throws IOException {
        return lines("hypervisor.h").collect(Collectors.joining("\n"));
    }

    private static Stream<String> lines(String resource) throws IOException {
        try (InputStream stream = DeclarationsTest.class.getResourceAsStream(resource)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8).lines();
        }
    }
}
