/* What policies need of the C library: memory that is never given back, for a policy lives for one plan. */
#ifndef TIDELOG_POLICY_STDLIB_H
#define TIDELOG_POLICY_STDLIB_H
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *old);
_Noreturn void abort(void);
#endif
