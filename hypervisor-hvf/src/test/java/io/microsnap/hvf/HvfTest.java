package io.microsnap.hvf;

import io.microsnap.testsupport.CCompiler;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.commons.support.AnnotationSupport;

/**
 * A test on guests of Hypervisor.framework: of the stand-in, unless {@code -Dmicrosnap.hvf=real} asks for the real one,
 * as {@code ./check --hvf} does on a Mac. What it cannot run on, it is skipped on, with the reason.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(HvfTest.Available.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
public @interface HvfTest {
    /** What a test can run on. */
    enum On { EITHER, STAND_IN, REAL }

    /** Most run on both. */
    On value() default On.EITHER;

    /** Asks what there is. */
    final class Available implements ExecutionCondition {
        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            On on = AnnotationSupport.findAnnotation(context.getRequiredTestClass(), HvfTest.class)
                    .map(HvfTest::value).orElse(On.EITHER);
            if (TestHost.isReal()) {
                return on == On.STAND_IN
                        ? ConditionEvaluationResult.disabled("only the stand-in can be made to do this")
                        : ConditionEvaluationResult.enabled("on the real framework");
            }
            if (on == On.REAL) {
                return ConditionEvaluationResult.disabled("Hypervisor.framework itself was not asked"
                        + " for; on a Mac with Apple silicon: ./check --hvf");
            }
            return CCompiler.find().isPresent() ? ConditionEvaluationResult.enabled("on the stand-in")
                    : ConditionEvaluationResult.disabled("no C compiler for the stand-in; to enable:"
                            + " sudo apt-get install gcc libc6-dev");
        }
    }
}
