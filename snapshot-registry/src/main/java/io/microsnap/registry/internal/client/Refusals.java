package io.microsnap.registry.internal.client;

import io.microsnap.core.DamagedException;
import io.microsnap.store.internal.Printable;
import io.microsnap.store.internal.StrictJson;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Reads a registry's refusals: the codes and messages of its error document. */
final class Refusals {
    private Refusals() {
    }

    /** Returns the reasons, for a message; empty if there is no error document. */
    static String text(Answer answer) {
        List<String> reasons = new ArrayList<>();
        try {
            StrictJson.read("the refusal", answer.refusal(), json -> key -> {
                if (!key.equals("errors")) {
                    return json.skip();
                }
                json.array(() -> {
                    String[] reason = {"", ""};
                    json.object(part -> {
                        switch (part) {
                            case "code" -> reason[0] = json.string();
                            case "message" -> reason[1] = json.string();
                            default -> json.skip();
                        }
                        return true;
                    });
                    reasons.add(reason[0] + (reason[1].isEmpty() ? "" : " (" + reason[1] + ")"));
                });
                return true;
            });
        } catch (DamagedException noDocument) {
            return "";
        }
        return Printable.of(String.join(", ", reasons));
    }

    /** Returns whether the registry lacks a blob that a manifest names. */
    static boolean isBlobUnknown(Answer answer) {
        return (answer.status() == 400 || answer.status() == 404)
                && answer.refusalText().toUpperCase(Locale.ROOT).contains("BLOB_UNKNOWN");
    }
}
