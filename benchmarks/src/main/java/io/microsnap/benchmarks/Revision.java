package io.microsnap.benchmarks;

import io.microsnap.testsupport.Checkout;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** The commit that is measured. */
final class Revision {
    private static final String UNKNOWN = "unknown";

    private Revision() {
    }

    /** Asks git; where there is none, nobody knows. */
    static String ofCheckout() throws InterruptedException {
        try {
            Process git = new ProcessBuilder("git", "describe", "--always", "--dirty", "--abbrev=10")
                    .directory(Checkout.root().toFile()).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            String said = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return git.waitFor() == 0 && said.matches("[0-9A-Za-z._-]{1,100}") ? said : UNKNOWN;
        } catch (IOException e) {
            return UNKNOWN;
        }
    }
}
