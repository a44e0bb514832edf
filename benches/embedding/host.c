/*
 * The C side of the embedding benchmark: one part of it a run, timed around what is measured alone. See benches/EMBEDDING.md.
 *
 *     host DIRECTORY append|rows|single|query|stream ROWS
 *
 * Prints lines of a name and a number. The allocator of the C library is counted by standing in front of it, so the bytes of the
 * library count, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidelog.h>
#include <time.h>

#define PER_BATCH 1000
#define DEVICES 10
#define STEP_NS 1000000000

static tidelog_error error;

/* ---- what the process asks its allocator for ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static _Atomic size_t allocated;

void *malloc(size_t size)
{
    allocated += size;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocated += count * size;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocated += size;
    return __libc_realloc(old, size);
}

int posix_memalign(void **to, size_t align, size_t size)
{
    allocated += size;
    *to = __libc_memalign(align, size);
    return *to ? 0 : ENOMEM;
}

void *aligned_alloc(size_t align, size_t size)
{
    allocated += size;
    return __libc_memalign(align, size);
}

/* ---- */

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void check(tidelog_status status)
{
    if (status < 0) {
        fprintf(stderr, "host: %s\n", error.message);
        exit(1);
    }
}

static tidelog_store *store;
static tidelog_batch *batch;
static uint32_t device[DEVICES], field;
static const tidelog_write_options os = {sizeof os, TIDELOG_OS, 0};

static void begin(const char *path)
{
    char name[32];
    check(tidelog_open(TIDELOG_ABI_VERSION, path, NULL, &store, &error));
    check(tidelog_batch_new("bench.meter", &batch, &error));
    for (int i = 0; i < DEVICES; i++) {
        snprintf(name, sizeof name, "meter_%d", i);
        check(tidelog_batch_device(batch, name, &device[i], &error));
    }
    check(tidelog_batch_field(batch, "level", TIDELOG_F64, &field, &error));
}

/* The same value as on the other side of the benchmark. */
static double level(long row)
{
    return (double)(row * 7 % 9973) / 100;
}

/* Columns of 1,000 rows of one device, each batch acknowledged by the system. */
static void append(long rows)
{
    static int64_t times[PER_BATCH];
    static double values[PER_BATCH];
    tidelog_column column = {0};
    double spent = 0;
    column.name = "level";
    column.kind = TIDELOG_F64;
    column.values = values;
    for (long at = 0; at < rows; at += PER_BATCH) {
        for (long i = 0; i < PER_BATCH; i++) {
            times[i] = (at + i) * STEP_NS;
            values[i] = level(at + i);
        }
        double begun = now();
        check(tidelog_batch_clear(batch, &error));
        check(tidelog_batch_append(batch, device[at / PER_BATCH % DEVICES], times, PER_BATCH, &column, 1, sizeof column, &error));
        check(tidelog_write(store, batch, &os, NULL, &error));
        spent += now() - begun;
    }
    printf("seconds %.9f\n", spent);
}

/* Row by row into a batch, which is handed over every `per` rows. */
static void build(long rows, long per)
{
    double begun = now();
    for (long at = 0; at < rows; at += per) {
        check(tidelog_batch_clear(batch, &error));
        for (long i = at; i < at + per; i++) {
            check(tidelog_batch_row(batch, device[i % DEVICES], i * STEP_NS, &error));
            check(tidelog_batch_set_f64(batch, field, level(i), &error));
        }
        check(tidelog_write(store, batch, &os, NULL, &error));
    }
    printf("seconds %.9f\n", now() - begun);
}

/* All rows as plain columns, each value read. */
static void query(void)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    double sum = 0;
    size_t rows = 0;
    double begun = now();
    block.struct_size = sizeof block;
    check(tidelog_query(store, "bench.meter", NULL, &result, &error));
    for (tidelog_status status; (status = tidelog_result_next(result, &block, &error)) != TIDELOG_DONE;) {
        check(status);
        const double *values = block.columns[0].values;
        for (size_t i = 0; i < block.rows; i++)
            sum += values[i];
        rows += block.rows;
    }
    check(tidelog_result_close(&result, &error));
    printf("seconds %.9f\nrows %zu\nsum %.2f\n", now() - begun, rows, sum);
}

/* The same as an Arrow stream. */
static void stream(void)
{
    tidelog_result *result = NULL;
    struct ArrowArrayStream arrow = {0};
    struct ArrowArray array;
    double sum = 0;
    size_t rows = 0;
    double begun = now();
    size_t before = allocated;
    check(tidelog_query(store, "bench.meter", NULL, &result, &error));
    check(tidelog_result_to_arrow(&result, &arrow, &error));
    while (arrow.get_next(&arrow, &array) == 0 && array.release) {
        /* "device", "timestamp_ns", "level" */
        const struct ArrowArray *column = array.children[2];
        const double *values = column->buffers[1];
        for (int64_t i = column->offset; i < column->offset + column->length; i++)
            sum += values[i];
        rows += (size_t)array.length;
        array.release(&array);
    }
    if (arrow.get_last_error(&arrow)) {
        fprintf(stderr, "host: %s\n", arrow.get_last_error(&arrow));
        exit(1);
    }
    arrow.release(&arrow);
    printf("seconds %.9f\nrows %zu\nsum %.2f\nallocated %zu\n", now() - begun, rows, sum, allocated - before);
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "host DIRECTORY append|rows|single|query|stream ROWS\n");
        return 2;
    }
    const char *part = arguments[2];
    long rows = atol(arguments[3]);
    begin(arguments[1]);
    if (strcmp(part, "append") == 0)
        append(rows);
    else if (strcmp(part, "rows") == 0)
        build(rows, PER_BATCH);
    else if (strcmp(part, "single") == 0)
        build(rows, 1);
    else if (strcmp(part, "query") == 0)
        query();
    else if (strcmp(part, "stream") == 0)
        stream();
    check(tidelog_batch_close(&batch, &error));
    check(tidelog_close(&store, &error));
    return 0;
}
