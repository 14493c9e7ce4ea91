package io.microsnap.testsupport;

import java.lang.reflect.Executable;
import java.lang.reflect.Parameter;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;
import org.opentest4j.TestAbortedException;

/**
 * Gives a test what its parameters ask for: a {@link TinyFileSystem}, a {@link LoopDevice}, a {@link CCompiler},
 * {@link ChildProcesses}, a {@link Seed}. JUnit finds this by itself; a test only declares the parameter. Where the
 * machine lacks the thing, the test is skipped with the reason and the command that would enable it.
 */
public final class Fixtures implements ExecutionCondition, ParameterResolver, TestExecutionExceptionHandler {

    private static final ExtensionContext.Namespace OURS = ExtensionContext.Namespace.create(Fixtures.class);

    /** JUnit makes one. */
    public Fixtures() {
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        for (Parameter parameter : context.getTestMethod().map(Executable::getParameters).orElse(new Parameter[0])) {
            Optional<String> missing = missing(parameter, context);
            if (missing.isPresent()) {
                return ConditionEvaluationResult.disabled(missing.get());
            }
        }
        return ConditionEvaluationResult.enabled("everything the parameters ask for is here");
    }

    private Optional<String> missing(Parameter parameter, ExtensionContext context) {
        if (parameter.getType() == CCompiler.class) {
            return CCompiler.find().isPresent() ? Optional.empty() : Optional.of(CCompiler.MISSING);
        }
        if (isScratch(parameter)) {
            return switch (scratch(parameter, context).scratch()) {
                case Scratch.Ready ready -> Optional.empty();
                case Scratch.Unavailable unavailable -> Optional.of(unavailable.toString());
            };
        }
        return Optional.empty();
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        Class<?> type = parameter.getParameter().getType();
        return type == CCompiler.class || type == ChildProcesses.class || type == Seed.class
                || isScratch(parameter.getParameter());
    }

    @Override
    public Object resolveParameter(ParameterContext parameterContext, ExtensionContext context) {
        Parameter parameter = parameterContext.getParameter();
        if (parameter.getType() == CCompiler.class) {
            return CCompiler.find().orElseThrow();
        }
        if (parameter.getType() == Seed.class) {
            return context.getStore(OURS)
                    .getOrComputeIfAbsent(Seed.class, key -> printed(Seed.choose(), context), Seed.class);
        }
        if (parameter.getType() == ChildProcesses.class) {
            return context.getStore(OURS)
                    .getOrComputeIfAbsent(ChildProcesses.class, key -> new ChildProcesses(), ChildProcesses.class);
        }
        return scratch(parameter, context).scratch().orElseThrow();
    }

    private static Seed printed(Seed seed, ExtensionContext context) {
        System.out.println(context.getRequiredTestMethod().getName() + ": " + seed);
        return seed;
    }

    /** A failure names the seed that led to it. */
    @Override
    public void handleTestExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        Seed seed = context.getStore(OURS).get(Seed.class, Seed.class);
        if (seed == null || failure instanceof TestAbortedException) {
            throw failure;
        }
        throw new AssertionError(seed + ": " + failure.getMessage(), failure);
    }

    private static boolean isScratch(Parameter parameter) {
        return parameter.getType() == Path.class
                && (parameter.isAnnotationPresent(TinyFileSystem.class)
                        || parameter.isAnnotationPresent(LoopDevice.class));
    }

    /**
     * What this parameter of this test gets, made once for both the condition and the resolver, dropped after the
     * test.
     */
    private static OwnScratch scratch(Parameter parameter, ExtensionContext context) {
        return context.getStore(OURS).getOrComputeIfAbsent(parameter, wanted -> {
            ScratchFs scratchFs = SharedFixtures.of(context).scratchFs();
            LoopDevice device = wanted.getAnnotation(LoopDevice.class);
            return new OwnScratch(scratchFs,
                    device == null ? scratchFs.tinyFileSystem() : scratchFs.blockDevice((long) device.sizeMiB() << 20));
        }, OwnScratch.class);
    }

    private record OwnScratch(ScratchFs owner, Scratch scratch) implements AutoCloseable {

        @Override
        public void close() {
            if (scratch instanceof Scratch.Ready(Path path)) {
                owner.drop(path);
            }
        }
    }
}
