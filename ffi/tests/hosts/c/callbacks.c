/* Callbacks call the library, with the very handles that are at work, and stop it. */
#include "check.h"

static tidelog_error error;
static tidelog_store *store;
static volatile int told, dropped, lines;
static char last_line[256];

static void drop(void *user)
{
    CHECK(user == (void *)&dropped);
    dropped++;
}

/* Waits for locks that the work holds: it must not wait for this. */
static int busy(void *user, uint64_t done, uint64_t total)
{
    tidelog_error own = {0};
    tidelog_result *result = NULL;
    tidelog_store *other = NULL;
    CHECK(user == (void *)&told && done <= total);
    told++;
    CHECK(tidelog_flush(store, &own) == TIDELOG_OK);
    CHECK(tidelog_query(store, "a.b", NULL, &result, &own) == TIDELOG_OK);
    CHECK(tidelog_result_close(&result, &own) == TIDELOG_OK);
    CHECK(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &other, &own) == TIDELOG_LOCKED);
    CHECK(tidelog_result_close((tidelog_result **)(void *)&other, &own) == TIDELOG_OK);
    return 0;
}

/* Ends the hook from inside. */
static int32_t line(void *user, const tidelog_log_record *record)
{
    size_t length = record->message.length < 255 ? record->message.length : 255;
    CHECK(user == (void *)&dropped && record->struct_size >= sizeof *record);
    CHECK(record->level >= TIDELOG_LOG_ERROR && record->level <= TIDELOG_LOG_TRACE);
    memcpy(last_line, record->message.data, length);
    last_line[length] = 0;
    if (++lines == 1)
        CHECK(tidelog_log_set(0, NULL, NULL, NULL, NULL) == TIDELOG_OK);
    return 0;
}

static int32_t once(void *user, const tidelog_log_record *record)
{
    (void)record;
    *(volatile int *)user += 1;
    return 1;
}

static void write_some(void)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0;
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    for (int d = 0; d < 16; d++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", d);
        WORKS(tidelog_batch_device(batch, name, &device, &error));
        for (int i = 0; i < 100; i++)
            WORKS(tidelog_batch_row(batch, device, i, &error));
    }
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_flush(store, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

/* A ring logs that it gives up its oldest hours, and little else logs when all is well. */
static void overfill(tidelog_store *ring, int64_t hour)
{
    static double values[30000];
    static int64_t times[30000];
    static uint64_t seed = 88172645463325252u;
    tidelog_batch *batch = NULL;
    uint32_t device = 0;
    const tidelog_column column = {"noise", values, NULL, NULL, TIDELOG_F64, 0};
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    WORKS(tidelog_batch_device(batch, "d", &device, &error));
    for (int64_t end = hour + 10; hour < end; hour++) {
        for (int i = 0; i < 30000; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            values[i] = (double)seed;
            times[i] = hour * INT64_C(3600000000000) + i;
        }
        WORKS(tidelog_batch_append(batch, device, times, 30000, &column, 1, sizeof column, &error));
    }
    WORKS(tidelog_write(ring, batch, NULL, NULL, &error));
    WORKS(tidelog_flush(ring, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

int main(void)
{
    tidelog_store *ring = NULL;
    tidelog_open_options options = {0};
    static volatile int calls;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    write_some();
    WORKS(tidelog_compact(store, busy, (void *)&told, &error));
    CHECK(told > 0);
    WORKS(tidelog_seal(store, busy, (void *)&told, NULL, &error));
    WORKS(tidelog_check(store, busy, (void *)&told, NULL, NULL, &error));
    WORKS(tidelog_close(&store, &error));

    options.struct_size = sizeof options;
    options.max_bytes = 1 << 20;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_open(TIDELOG_ABI_VERSION, "ring", &options, &ring, &error));
    options.flags = TIDELOG_OPEN_RING;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "ring", &options, &ring, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_log_set(9, line, (void *)&dropped, drop, &error));
    CHECK(dropped == 1);
    WORKS(tidelog_log_set(TIDELOG_LOG_INFO, line, (void *)&dropped, drop, &error));
    overfill(ring, 0);
    COMES(dropped == 2);
    CHECK(lines == 1 && strstr(last_line, "evicted: the store is at its bound name=a.b"));

    /* One that says stop is not called again. */
    WORKS(tidelog_log_set(TIDELOG_LOG_TRACE, once, (void *)&calls, NULL, &error));
    overfill(ring, 20);
    COMES(calls == 1);
    overfill(ring, 40);
    WORKS(tidelog_compact(ring, NULL, NULL, &error));
    WORKS(tidelog_log_set(0, NULL, NULL, NULL, &error));
    CHECK(calls == 1);
    WORKS(tidelog_close(&ring, &error));
    return 0;
}
