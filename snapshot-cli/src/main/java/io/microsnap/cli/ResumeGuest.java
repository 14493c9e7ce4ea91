package io.microsnap.cli;

import io.microsnap.vmm.CloudHypervisorVmm;
import io.microsnap.vmm.FirecrackerVmm;
import io.microsnap.vmm.QemuVmm;
import io.microsnap.vmm.VmmOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "resume",
        mixinStandardHelpOptions = true,
        description = "Loads the files that microsnap restore made into a waiting VMM, and lets the guest run.",
        footerHeading = "%n",
        footer = {
            "Example: microsnap resume --qmp /var/lib/guests/copy-1/qmp --from /var/lib/guests/copy-1",
            "A QEMU waits when it is started with -incoming defer, a Firecracker or Cloud Hypervisor without a guest."
        })
final class ResumeGuest extends CliCommand {
    @Mixin
    private VmmSocket socket;

    @Option(names = "--from", paramLabel = "DIR", required = true, description = "The directory that microsnap restore"
            + " made; or, for a QEMU that runs in place, the snapshot's attachments.")
    private Path directory;

    @Override
    int run(Console console) throws IOException {
        if (!socket.isNamed()) {
            throw usage("which VMM? Name its socket with --qmp, --firecracker or --cloud-hypervisor");
        }
        long start = System.nanoTime();
        VmmOptions options = socket.options();
        switch (socket.kind()) {
            case QEMU -> QemuVmm.resume(options, directory);
            case FIRECRACKER -> FirecrackerVmm.resume(options, directory);
            case CLOUD_HYPERVISOR -> CloudHypervisorVmm.resume(options, directory);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(new Document().put("socket", socket.path()).put("directory", directory)
                .put("elapsed_ms", elapsed));
        console.say("the guest runs, after " + Sizes.time(elapsed));
        return ExitStatus.OK;
    }
}
