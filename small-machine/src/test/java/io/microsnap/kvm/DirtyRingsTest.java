package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.machine.GuestProgram;
import io.microsnap.machine.Pattern;
import io.microsnap.machine.SmallMachine;
import io.microsnap.machine.SmallMachineSpec;
import io.microsnap.machine.Touch;
import java.io.IOException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a harvest of rings must not overlook although there is nothing in them. */
@KvmTest
class DirtyRingsTest {
    private static final int PAGE = 4096;
    private static final long RAM = 4L << 20;
    private static final int TOUCHED = 40;

    private Kvm kvm;
    private SmallMachine machine;
    private DirtySource source;
    private DirtyBitmap bitmap;

    @BeforeEach
    void harvestUntilNothingIsLeft() throws IOException {
        kvm = Kvm.open(Posix.host());
        machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(RAM).withTracking(DirtyTracking.RING));
        source = machine.openDirtySource();
        source.arm();
        bitmap = DirtyBitmap.of(source.layout());
        Region touched = new Region(SmallMachine.PROGRAM_AREA_BYTES, (long) TOUCHED * PAGE);
        machine.load(0, GuestProgram.touch(new Touch(touched, Pattern.SEQUENTIAL, 1, TOUCHED, 1)));
        source.harvest(bitmap);
        bitmap.clear();
    }

    @AfterEach
    void close() throws IOException {
        machine.close();
        kvm.close();
    }

    @Test
    void whatAFullRingPutAsideIsFoundThoughTheRingIsEmpty() throws Exception {
        machine.resume();
        machine.awaitFinish();
        machine.vm().dirtyRingFull();
        source.harvest(bitmap);
        // The counter's page, too.
        assertThat(bitmap.count()).isEqualTo(TOUCHED + 1);

        bitmap.clear();
        source.harvest(bitmap);
        assertThat(bitmap.count()).isZero();
    }

    @Test
    void aBitmapOfAnotherGuestIsRefusedThoughThereIsNothingToPutIntoIt() {
        DirtyBitmap other = DirtyBitmap.of(GuestLayout.ofSingleRegion(PAGE, 2 * RAM));
        assertThatThrownBy(() -> source.harvest(other)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void slotsThatChangedAreToldThoughTheRingsAreEmpty() throws IOException {
        machine.vm().addAlias(new Region(1L << 32, RAM), 0);
        assertThatThrownBy(() -> source.harvest(bitmap)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("added, moved or removed");
    }

    @Test
    void aHarvestThatWasNotArmedIsRefusedThoughTheRingsAreEmpty() throws IOException {
        source.disarm();
        assertThatThrownBy(() -> source.harvest(bitmap)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("not armed");
    }
}
