package io.microsnap.benchmarks;

/**
 * A whole path of microsnap measured beside a native program that does the same job: a small class, listed in
 * {@link Scenarios}.
 */
public interface Scenario {

    /**
     * How it is called on the command line; parts after a slash for what it is measured with: {@code clone/xfs/5%}.
     */
    String name();

    /** What is measured, in one sentence. */
    String question();

    /** What we mean to reach. */
    Target target();

    /** What the measured number counts. */
    default Unit unit() {
        return Unit.NANOSECONDS;
    }

    /** How much memory both sides touch, page cache included: that much is warmed first. */
    long workingSetBytes();

    /** How much of the disk both sides fill. */
    default long diskBytes() {
        return workingSetBytes();
    }

    /** Makes everything ready on both sides; whatever must be closed is given to the workbench. */
    Duel prepare(Workbench workbench) throws Exception;
}
