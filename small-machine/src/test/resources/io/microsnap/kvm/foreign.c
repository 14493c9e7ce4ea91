/* A process with a VM of its own, for others to try. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void) {
    int kvm = open("/dev/kvm", O_RDWR);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    char ignored;
    printf("vm %d\n", vm);
    fflush(stdout);
    /* Until whoever started this has seen enough. */
    return read(0, &ignored, 1) < 0;
}
