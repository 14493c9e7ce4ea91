package io.microsnap.kvm.internal.abi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Our structs and numbers are those of the kernel's headers: a C program says what they are. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
class KernelHeadersTest {
    private static final Set<String> EVERYWHERE = Set.of("kvm_userspace_memory_region", "kvm_dirty_log",
            "kvm_clear_dirty_log", "kvm_dirty_gfn", "kvm_enable_cap", "kvm_mp_state", "kvm_run");

    @Test
    void everyStructMemberRequestAndNumberIsTheKernels(CCompiler compiler, ChildProcesses processes) throws Exception {
        String said = processes.command(compiler.program(KernelHeadersTest.class, "headers.c").toString())
                .awaitExit().output();
        assertThat(ours()).isEqualTo(parsed(said)).hasSizeGreaterThan(300);
    }

    @Test
    void whatAllArchitecturesShareIsTheSameOnAarch64(ChildProcesses processes, @TempDir Path directory)
            throws Exception {
        Path headers = Path.of("/usr/aarch64-linux-gnu/include");
        assumeTrue(Files.exists(headers.resolve("asm/kvm.h")),
                "no AArch64 kernel headers; to enable: sudo apt-get install linux-libc-dev-arm64-cross");
        assumeTrue(CCompiler.find().isPresent(), "no C compiler; to enable: sudo apt-get install gcc libc6-dev");
        StringBuilder source = new StringBuilder("#include <linux/kvm.h>\n");
        ours().forEach((name, number) -> {
            int dot = name.indexOf('.');
            String struct = dot < 0 ? name : name.substring(0, dot);
            if (EVERYWHERE.contains(struct)) {
                source.append("_Static_assert(").append(dot < 0
                        ? "sizeof(struct " + name + ")"
                        : "__builtin_offsetof(struct " + struct + ", " + name.substring(dot + 1) + ")");
                source.append(" == ").append(number).append(", \"").append(name).append("\");\n");
            }
        });
        Path file = Files.writeString(directory.resolve("aarch64.c"), source);
        ChildProcess.Exit exit = processes.command(
                "cc", "-fsyntax-only", "-isystem", headers.toString(), file.toString()).awaitExit();
        assertThat(exit.status()).as(exit.errors()).isZero();
    }

    private static Map<String, Long> parsed(String lines) {
        Map<String, Long> numbers = new TreeMap<>();
        lines.lines().forEach(line -> {
            int space = line.indexOf(' ');
            assertThat(numbers.put(line.substring(0, space), Long.valueOf(line.substring(space + 1))))
                    .as(line).isNull();
        });
        return numbers;
    }

    private static Map<String, Long> ours() throws IllegalAccessException {
        Map<String, Long> numbers = new TreeMap<>();
        for (Field field : Structs.class.getFields()) {
            StructLayout struct = (StructLayout) field.get(null);
            assertThat(struct.name().orElseThrow()).isEqualToIgnoringCase(field.getName());
            numbers.put(struct.name().orElseThrow(), struct.byteSize());
            addMembers(struct.name().orElseThrow(), struct, 0, numbers);
        }
        for (Request request : Request.values()) {
            numbers.put(request.name(), request.number());
        }
        for (Capability capability : Capability.values()) {
            numbers.put(capability.name(), (long) capability.number());
        }
        for (Field field : Numbers.class.getFields()) {
            assertThat(Modifier.isStatic(field.getModifiers())).isTrue();
            numbers.put(field.getName(), (long) field.getInt(null));
        }
        return numbers;
    }

    private static void addMembers(String prefix, GroupLayout group, long base, Map<String, Long> numbers) {
        for (MemoryLayout member : group.memberLayouts()) {
            if (member.name().isEmpty()) {
                continue;
            }
            String name = member.name().orElseThrow();
            long offset = base + group.byteOffset(PathElement.groupElement(name));
            // The union of kvm_run has no name in C.
            boolean nameless = name.equals("exit");
            String path = nameless ? prefix : prefix + "." + name;
            if (!nameless) {
                numbers.put(path, offset);
            }
            if (member instanceof GroupLayout nested) {
                addMembers(path, nested, offset, numbers);
            }
        }
    }
}
