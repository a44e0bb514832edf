/* A C library for policies, without an operating system.
 *
 * Memory is handed out in a row and not taken back: an instance lives for one plan, and all of it goes at once. Before each
 * block stands its size, for realloc. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 65536u
#define ALIGN 16u

extern unsigned char __heap_base;
static uintptr_t next;

void *malloc(size_t size) {
    if (next == 0)
        next = ((uintptr_t)&__heap_base + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (size > UINT32_MAX - 4 * ALIGN - next)
        abort();
    uintptr_t block = next + ALIGN;
    uintptr_t end = block + ((size + ALIGN - 1) & ~(size_t)(ALIGN - 1));
    /* At its limit the host ends the call: it does not come back without memory. */
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == (size_t)-1)
        abort();
    *(size_t *)next = size;
    next = end;
    return (void *)block;
}

void *calloc(size_t count, size_t size) {
    if (size != 0 && count > UINT32_MAX / size)
        abort();
    return memset(malloc(count * size), 0, count * size);
}

void *realloc(void *old, size_t size) {
    if (old == NULL)
        return malloc(size);
    size_t had = *(size_t *)((uintptr_t)old - ALIGN);
    return had >= size ? old : memcpy(malloc(size), old, had);
}

void free(void *old) {
    (void)old;
}

_Noreturn void abort(void) {
    __builtin_trap();
}

void *memcpy(void *to, const void *from, size_t size) {
    unsigned char *out = to;
    const unsigned char *in = from;
    while (size-- > 0)
        *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    unsigned char *out = to;
    const unsigned char *in = from;
    if (out < in)
        return memcpy(to, from, size);
    while (size-- > 0)
        out[size] = in[size];
    return to;
}

void *memset(void *to, int byte, size_t size) {
    unsigned char *out = to;
    while (size-- > 0)
        *out++ = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const unsigned char *left = a, *right = b;
    for (; size > 0; size--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

size_t strlen(const char *text) {
    size_t size = 0;
    while (text[size] != '\0')
        size++;
    return size;
}
