package io.microsnap.testsupport;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Compiles C that lies beside a class, as a program or a library: native peers, stand-ins, layout checks. A test
 * takes it as a parameter; a program asks {@link #find}. Optimised ({@code -O3}), every warning an error. What did
 * not change is not compiled again.
 */
public final class CCompiler {

    /** Why a test that needs one is skipped. */
    static final String MISSING =
            "no C compiler on the path ($CC, gcc, cc, clang); to enable: sudo apt-get install gcc libc6-dev";

    private static final List<String> FLAGS =
            List.of("-std=gnu17", "-O3", "-g", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra", "-Werror");

    private final Path compiler;
    private final Path output;

    private CCompiler(Path compiler, Path output) {
        this.compiler = compiler;
        this.output = output;
    }

    /** The C compiler of this machine: what {@code CC} names, else gcc, cc or clang. */
    public static Optional<CCompiler> find() {
        String chosen = System.getenv("CC");
        Stream<String> names = chosen == null || chosen.isBlank() ? Stream.of("gcc", "cc", "clang") : Stream.of(chosen);
        String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
        List<Path> directories = Stream.of(path.split(File.pathSeparator, -1)).map(Path::of).toList();
        return names
                .flatMap(name -> directories.stream().map(directory -> directory.resolve(name)))
                .filter(Files::isExecutable)
                .findFirst()
                .map(compiler -> new CCompiler(compiler, Checkout.compiledC()));
    }

    /**
     * A program from {@code source}, a resource beside {@code owner}. Headers it includes, and further C files, are
     * named after it; a name that starts with a slash is looked up from the top.
     */
    public Path program(Class<?> owner, String source, String... alongside) {
        return compile(List.of(), owner, "", source, alongside);
    }

    /** A shared library from {@code source}, a resource beside {@code owner}. */
    public Path library(Class<?> owner, String source, String... alongside) {
        boolean mac = System.getProperty("os.name").startsWith("Mac");
        List<String> kind = List.of("-fPIC", mac ? "-dynamiclib" : "-shared");
        return compile(kind, owner, mac ? ".dylib" : ".so", source, alongside);
    }

    private Path compile(List<String> kind, Class<?> owner, String suffix, String source, String... alongside) {
        List<String> resources = new ArrayList<>(List.of(source));
        resources.addAll(List.of(alongside));
        List<String> names = resources.stream().map(name -> name.substring(name.lastIndexOf('/') + 1)).toList();
        try {
            List<byte[]> texts = new ArrayList<>();
            for (String resource : resources) {
                texts.add(read(owner, resource));
            }
            Path directory = output.resolve(fingerprint(kind, names, texts));
            Path result = directory.resolve(names.getFirst().replaceFirst("\\.c$", "") + suffix);
            if (!Files.exists(result)) {
                Files.createDirectories(output);
                Path fresh = Files.createTempDirectory(output, "compiling-");
                for (int i = 0; i < names.size(); i++) {
                    Files.write(fresh.resolve(names.get(i)), texts.get(i));
                }
                run(kind, names, fresh, fresh.resolve(result.getFileName()));
                settle(fresh, directory);
            }
            return result;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] read(Class<?> owner, String name) throws IOException {
        try (InputStream resource = owner.getResourceAsStream(name)) {
            if (resource == null) {
                throw new IllegalArgumentException("no resource " + name + " beside " + owner.getName()
                        + " (it belongs in src/…/resources/" + owner.getPackageName().replace('.', '/') + "/)");
            }
            return resource.readAllBytes();
        }
    }

    private String fingerprint(List<String> kind, List<String> names, List<byte[]> texts) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update((compiler + " " + FLAGS + " " + kind + " " + names).getBytes(StandardCharsets.UTF_8));
            for (byte[] text : texts) {
                digest.update(text);
                digest.update((byte) 0);
            }
            return HexFormat.of().formatHex(digest.digest(), 0, 12);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private void run(List<String> kind, List<String> names, Path directory, Path result) throws IOException {
        List<String> command = new ArrayList<>(List.of(compiler.toString()));
        command.addAll(FLAGS);
        command.addAll(kind);
        command.addAll(List.of("-o", result.toString()));
        names.stream().filter(name -> name.endsWith(".c")).forEach(command::add);
        Process process = new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.onExit().join().exitValue() != 0) {
            throw new IOException(String.join(" ", command) + " failed in " + directory + ":\n" + said);
        }
    }

    /** Several JVMs may compile the same source at once; the first one wins, whole. */
    private static void settle(Path fresh, Path directory) throws IOException {
        try {
            Files.move(fresh, directory, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            if (!Files.isDirectory(directory)) {
                throw e;
            }
            OwnDirectory.remove(fresh);
        }
    }
}
