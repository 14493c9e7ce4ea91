package io.microsnap.benchmarks;

/** One scenario of a run, with what came of it. */
record Row(String family, String name, String question, Unit unit, Target target, Outcome outcome) {

    /** How a row ended. */
    enum Verdict {
        MET("met"), CLOSE("met within 5 %"), MISSED("MISSED"), REPORTED("no target"), LEFT_OUT("left out"),
        FAILED("FAILED");

        private final String text;

        Verdict(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    static Row of(String family, Scenario scenario, Outcome outcome) {
        return new Row(family, scenario.name(), scenario.question(), scenario.unit(), scenario.target(), outcome);
    }

    Verdict verdict() {
        return switch (outcome) {
            case Outcome.LeftOut left -> Verdict.LEFT_OUT;
            case Outcome.Failed failed -> Verdict.FAILED;
            case Outcome.Measured measured -> switch (target.judge(measured.ratio(target).median())) {
                case MET -> Verdict.MET;
                case CLOSE -> Verdict.CLOSE;
                case MISSED -> Verdict.MISSED;
                case REPORTED -> Verdict.REPORTED;
            };
        };
    }
}
