package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import io.microsnap.hvf.internal.binding.StandIn;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/**
 * What the tests run guests on: the real framework where it is asked for, else the stand-in, as new.
 *
 * @param framework its calls
 * @param library the stand-in, if it is that
 */
public record TestHost(HypervisorFramework framework, Optional<StandIn> library) {
    /** A page of the guest, also where the host's are smaller. */
    public static final int PAGE = 16 << 10;
    /** Two regions, neither of which starts or ends on a block. */
    public static final GuestLayout LAYOUT = GuestLayout.of(PAGE, List.of(
            new Region(0x4000_4000L, 300 * PAGE), new Region(0x8000_0000L, 211 * PAGE)));

    /** Whether this run is of the real framework. */
    public static boolean isReal() {
        return System.getProperty("microsnap.hvf", "").equals("real");
    }

    /** Opens it. */
    public static TestHost open() throws IOException {
        if (isReal()) {
            return new TestHost(HypervisorFramework.ofThisMac(), Optional.empty());
        }
        StandIn standIn = StandIn.fresh();
        return new TestHost(standIn.framework(), Optional.of(standIn));
    }

    /** The stand-in, for a test that needs it. */
    public StandIn standIn() {
        return library.orElseThrow();
    }

    public Hvf hvf() {
        return Hvf.over(framework);
    }

    /** Memory for {@link #LAYOUT}. */
    public static GuestRam memory() throws IOException {
        return memory(LAYOUT);
    }

    public static GuestRam memory(GuestLayout layout) throws IOException {
        return GuestRam.anonymous(Posix.host(), layout, HugePages.NONE);
    }

    /** Nothing forbidden was done, and nothing is left. */
    public void assertClean() {
        if (library.isPresent()) {
            assertThat(library.get().violation()).isEmpty();
            assertThat(library.get().leaks()).isEmpty();
        }
    }
}
