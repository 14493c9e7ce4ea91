package io.microsnap.testsupport;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContextProvider;

/** Runs a {@link RealFileSystems} test once for each kind. */
final class RealFileSystemsExtension implements TestTemplateInvocationContextProvider {

    @Override
    public boolean supportsTestTemplate(ExtensionContext context) {
        return context.getRequiredTestMethod().isAnnotationPresent(RealFileSystems.class);
    }

    @Override
    public Stream<TestTemplateInvocationContext> provideTestTemplateInvocationContexts(ExtensionContext context) {
        return Arrays.stream(context.getRequiredTestMethod().getAnnotation(RealFileSystems.class).value())
                .map(OnOneFileSystem::new);
    }

    /** One invocation: the condition mounts, the resolver hands out a directory, the store removes it. */
    private record OnOneFileSystem(FileSystemKind kind)
            implements TestTemplateInvocationContext, ExecutionCondition, ParameterResolver {

        private static final ExtensionContext.Namespace OURS = ExtensionContext.Namespace.create(OnOneFileSystem.class);

        @Override
        public String getDisplayName(int invocationIndex) {
            return kind.name();
        }

        @Override
        public List<Extension> getAdditionalExtensions() {
            return List.of(this);
        }

        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            return switch (SharedFixtures.of(context).scratchFs().fileSystem(kind)) {
                case Scratch.Ready ready -> ConditionEvaluationResult.enabled(kind + " is mounted at " + ready.path());
                case Scratch.Unavailable unavailable -> ConditionEvaluationResult.disabled(unavailable.toString());
            };
        }

        @Override
        public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
            Class<?> type = parameter.getParameter().getType();
            return type == FileSystemKind.class
                    || (type == Path.class && parameter.getParameter().getAnnotations().length == 0);
        }

        @Override
        public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
            if (parameter.getParameter().getType() == FileSystemKind.class) {
                return kind;
            }
            Path top = SharedFixtures.of(context).scratchFs().fileSystem(kind).orElseThrow();
            return context.getStore(OURS)
                    .getOrComputeIfAbsent(OwnDirectory.class, key -> OwnDirectory.below(top), OwnDirectory.class)
                    .path();
        }
    }
}
