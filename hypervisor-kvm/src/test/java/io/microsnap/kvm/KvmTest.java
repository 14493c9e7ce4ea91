package io.microsnap.kvm;

import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/** A test on real guests. Where there is no KVM it is skipped, with what would enable it. */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
@ExtendWith(KvmTest.Available.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
public @interface KvmTest {
    /** Asks by opening it. */
    final class Available implements ExecutionCondition {
        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            if (!System.getProperty("os.name").equals("Linux")) {
                return ConditionEvaluationResult.disabled("KVM is Linux's");
            }
            try (Kvm kvm = Kvm.open(Posix.host())) {
                return ConditionEvaluationResult.enabled("best tracked by " + kvm.bestDirtyTracking());
            } catch (IOException reason) {
                return ConditionEvaluationResult.disabled(reason.getMessage());
            }
        }
    }
}
