package io.microsnap.vmm.internal.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QemuCommandLineTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "secret,id=s0,data=hunter2                       | secret,id=s0,data=REDACTED",
        "secret,id=s0,data=a,,b,format=raw               | secret,id=s0,data=REDACTED,format=raw",
        "port=5900,password=hunter2                      | port=5900,password=REDACTED",
        ":1,password=on                                  | :1,password=on",
        "file=disk,encrypt.key-secret=s0                 | file=disk,encrypt.key-secret=s0",
        "driver=rbd,password-secret=s0                   | driver=rbd,password-secret=s0",
        "https://me:hunter2@host/disk.img                | https://me:REDACTED@host/disk.img",
        "name=opt/x,string=hunter2                       | name=opt/x,string=REDACTED",
        "{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"hunter2\"} "
                + "| {\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"REDACTED\"}",
        "{\"driver\": \"x\", \"password\": \"a\\\"b\"}   | {\"driver\": \"x\", \"password\": \"REDACTED\"}",
        "memory-backend-file,id=ram,size=1G,mem-path=/r  | memory-backend-file,id=ram,size=1G,mem-path=/r",
    })
    void secretsAreLeftOutAndNothingElse(String word, String kept) {
        assertThat(QemuCommandLine.withoutSecrets(List.of(word))).containsExactly(kept);
    }

    private static List<String> copy(Optional<String> ramPath, String... words) {
        QemuDescription description = new QemuDescription("7.2.22", "pc-q35-7.2", "ram", ramPath, 1 << 30, "/run/q",
                List.of(words), Map.of("/disk.img", "disk.img"));
        return QemuCommandLine.forCopy(description, Map.of("/disk.img", "/new/disk.img"), "/new/memory.img",
                "/new/qmp");
    }

    @Test
    void aCopyHasFilesOfItsOwnAndTheMachineByItsVersion() {
        assertThat(copy(Optional.of("/shm/ram"), "qemu", "-machine", "q35,memory-backend=ram", "-S", "-object",
                "memory-backend-file,id=ram,mem-path=/shm/ram,share=on", "-qmp", "unix:/run/q,server=on", "-drive",
                "file=/disk.img,if=virtio", "-drive", "file=/disk.img.bak", "-incoming", "tcp:0:1", "-pidfile", "/p"))
                .containsExactly("qemu", "-machine", "pc-q35-7.2,memory-backend=ram", "-object",
                        "memory-backend-file,id=ram,mem-path=/new/memory.img,share=on", "-qmp",
                        "unix:/new/qmp,server=on", "-drive", "file=/new/disk.img,if=virtio", "-drive",
                        "file=/disk.img.bak", "-incoming", "defer");
        assertThat(copy(Optional.of("/r"), "qemu", "-M", "accel=kvm,type=q35,memory-backend=ram"))
                .containsExactly("qemu", "-M", "pc-q35-7.2,accel=kvm,memory-backend=ram", "-incoming", "defer");
        assertThat(copy(Optional.of("/r"), "qemu")).contains("-machine", "pc-q35-7.2");
        assertThat(copy(Optional.of("/r"), "qemu", "{\"mem-path\":\"/r\",\"id\":\"ram\"}"))
                .contains("{\"mem-path\":\"/new/memory.img\",\"id\":\"ram\"}");
    }

    @Test
    void aRelativePathThatIsSpelledLikeAnIdIsReplacedWhereAPathStandsAlone() {
        assertThat(copy(Optional.of("ram"), "qemu", "-object", "memory-backend-file,id=ram,mem-path=ram,share=on",
                "-machine", "pc,memory-backend=ram", "{\"id\": \"ram\", \"mem-path\": \"ram\"}"))
                .contains("memory-backend-file,id=ram,mem-path=/new/memory.img,share=on",
                        "pc-q35-7.2,memory-backend=ram", "{\"id\": \"ram\", \"mem-path\": \"/new/memory.img\"}");
        assertThat(QemuCommandLine.sockets(List.of("unix:q,server=on", "socket,id=c,path=/run/c,server=on", "x=unix")))
                .containsExactly("q", "/run/c");
    }

    @Test
    void aMemfdBecomesAFile() {
        assertThat(copy(Optional.empty(), "qemu", "-object", "memory-backend-memfd,id=ram,size=1G,share=on,seal=off"))
                .contains("memory-backend-file,id=ram,size=1G,share=on,mem-path=/new/memory.img");
    }

    @Test
    void whatIsPrintedIsWhatAShellReads() {
        assertThat(QemuCommandLine.quoted(List.of("qemu", "-append", "a b", "it's", "")))
                .isEqualTo("qemu -append 'a b' 'it'\\''s' ''");
    }
}
