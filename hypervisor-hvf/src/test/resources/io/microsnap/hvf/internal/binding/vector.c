/* Runs machine code given in hexadecimal as microsnap does: a vector's address in x2, the function to jump to in x3. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef __attribute__((vector_size(16))) uint8_t vector;

static uint8_t got[16];

static int callee(uint64_t vcpu, uint32_t number, vector value) {
    memcpy(got, &value, sizeof got);
    return vcpu == 0x123456789abcdefull && number == 31 ? 42 : 1;
}

int main(int count, char **arguments) {
    if (count != 2) {
        return 2;
    }
    size_t length = strlen(arguments[1]) / 2;
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < length; i++) {
        char byte[3] = {arguments[1][2 * i], arguments[1][2 * i + 1], 0};
        code[i] = (uint8_t) strtoul(byte, NULL, 16);
    }
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    __builtin___clear_cache((char *) code, (char *) code + length);
    uint8_t value[16];
    for (int i = 0; i < 16; i++) {
        value[i] = (uint8_t) (0xa0 + i);
    }
    int (*set)(uint64_t, uint32_t, const void *, void *) = (int (*)(uint64_t, uint32_t, const void *, void *)) code;
    int result = set(0x123456789abcdefull, 31, value, (void *) callee);
    if (result != 42 || memcmp(got, value, 16)) {
        printf("result %d\n", result);
        return 1;
    }
    printf("passed\n");
    return 0;
}
