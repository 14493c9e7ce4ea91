package example;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.Region;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;

/**
 * What the guest runs: a few instructions where a PC has its firmware. They write a word in each page of a working set,
 * count all of these writes in one more word, and report each round through a port.
 */
final class Firmware {
    /** The port through which the guest says that a round is over. */
    static final int ROUND_PORT = 0xe0;

    private static final int PAGE = 4096;
    private static final Region RAM = new Region(0, 64 << 20);
    /** The last 64 KiB below 4 GiB: an x86 processor begins 16 bytes before their end. */
    private static final Region ROM = new Region(0xffff_0000L, 64 << 10);
    private static final long RESET = 0xfff0;
    private static final long WRITES = 0x500;
    private static final long GENERATION_ID = 0x600;
    private static final long FIRST_PAGE = 0x10000;
    private static final long LAST_PAGE = 0x8f000;
    private static final long OS_IMAGE = 1 << 20;
    private static final int OS_IMAGE_BYTES = 16 << 20;

    /** RAM and firmware. */
    static final GuestLayout LAYOUT = GuestLayout.of(PAGE, List.of(RAM, ROM));

    private static final int[] PROGRAM = {
        0xb8, 0x00, 0x10,                           // start: mov ax, 0x1000    the segment of the first page
        0x8e, 0xd8,                                 // page:  mov ds, ax
        0x66, 0xff, 0x06, 0x00, 0x00,               //        inc dword [0]
        0x31, 0xdb,                                 //        xor bx, bx
        0x8e, 0xc3,                                 //        mov es, bx
        0x26, 0x66, 0xff, 0x06, 0x00, 0x05,         //        inc dword es:[0x500]
        0x05, 0x00, 0x01,                           //        add ax, 0x100     the next page
        0x3d, 0x00, 0x90,                           //        cmp ax, 0x9000
        0x72, -25,                                  //        jb page
        0xe6, ROUND_PORT,                           //        out ROUND_PORT, al
        0xeb, -32,                                  //        jmp start
    };
    private static final int[] JUMP_TO_START = {0xe9, 0x0d, 0x00};

    private Firmware() {
    }

    /** Loads the firmware and an operating system's image, as different from others as its name. */
    static void load(GuestMemory memory, String osImage) {
        copy(PROGRAM, memory.mapping(1), 0);
        copy(JUMP_TO_START, memory.mapping(1), RESET);
        byte[] bytes = new byte[OS_IMAGE_BYTES];
        new Random(osImage.hashCode()).nextBytes(bytes);
        MemorySegment.copy(bytes, 0, memory.mapping(0), ValueLayout.JAVA_BYTE, OS_IMAGE, bytes.length);
    }

    private static void copy(int[] code, MemorySegment to, long at) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int each : code) {
            bytes.write(each);
        }
        MemorySegment.copy(bytes.toByteArray(), 0, to, ValueLayout.JAVA_BYTE, at, code.length);
    }

    /** How many writes the guest has counted. */
    static int writes(GuestMemory memory) {
        return (int) ValueLayout.JAVA_INT.varHandle().getVolatile(memory.mapping(0), WRITES);
    }

    /** Whether the pages of a paused guest hold what it counted; its last write may be yet to be counted. */
    static boolean isWhole(GuestMemory memory) {
        int written = 0;
        for (long page = FIRST_PAGE; page <= LAST_PAGE; page += PAGE) {
            written += memory.mapping(0).get(ValueLayout.JAVA_INT, page);
        }
        return written - writes(memory) >= 0 && written - writes(memory) <= 1;
    }

    /** Gives the guest another identity, and returns where in its memory that is. */
    static long renew(GuestMemory memory, long generationId) {
        memory.mapping(0).set(ValueLayout.JAVA_LONG, GENERATION_ID, generationId);
        return GENERATION_ID;
    }
}
