/* Several threads write, ask, follow and tend one store at once, as a gateway does. What was acknowledged is there at the end, in
 * order for who follows. Made for ThreadSanitizer (.ci/tsan), which watches the library and this; without it a test like others. */
#include <pthread.h>
#include "check.h"

#define WRITERS 4
#define READERS 2
#ifndef ROUNDS
#define ROUNDS 60
#endif
#define ROWS 20

static tidelog_store *store;
/* Under `lock`: batches acknowledged, and threads that write no more. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long acknowledged, finished;

static void count(long *what, long more)
{
    CHECK(pthread_mutex_lock(&lock) == 0);
    *what += more;
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

static long look(const long *what)
{
    CHECK(pthread_mutex_lock(&lock) == 0);
    long now = *what;
    CHECK(pthread_mutex_unlock(&lock) == 0);
    return now;
}

/* A device of its own; every third batch is durable at once, and every fifth is waited for by its ticket. */
static void *writes(void *argument)
{
    const int own = *(const int *)argument;
    tidelog_error error = {0};
    tidelog_batch *batch = NULL;
    tidelog_write_options options = {0};
    uint32_t device = 0, number = 0, text = 0;
    char name[16];
    options.struct_size = sizeof options;
    snprintf(name, sizeof name, "writer%d", own);
    WORKS(tidelog_batch_new("race.rows", &batch, &error));
    WORKS(tidelog_batch_device(batch, name, &device, &error));
    WORKS(tidelog_batch_field(batch, "number", TIDELOG_I64, &number, &error));
    WORKS(tidelog_batch_field(batch, "text", TIDELOG_STRING, &text, &error));
    for (int round = 0; round < ROUNDS; round++) {
        options.durability = round % 3 == 0 ? TIDELOG_SYNC : TIDELOG_OS;
        WORKS(tidelog_batch_clear(batch, &error));
        for (int row = 0; row < ROWS; row++) {
            WORKS(tidelog_batch_row(batch, device, (int64_t)round * ROWS + row, &error));
            WORKS(tidelog_batch_set_i64(batch, number, round, &error));
            WORKS(tidelog_batch_set_string(batch, text, name, strlen(name), &error));
        }
        if (round % 5 == 0) {
            tidelog_ticket *ticket = NULL;
            WORKS(tidelog_submit(store, batch, &options, &ticket, &error));
            WORKS(tidelog_ticket_wait(ticket, NULL, &error));
            WORKS(tidelog_ticket_close(&ticket, &error));
        } else {
            WORKS(tidelog_write(store, batch, &options, NULL, &error));
        }
        count(&acknowledged, 1);
    }
    WORKS(tidelog_batch_close(&batch, &error));
    count(&finished, 1);
    return NULL;
}

static size_t rows_of(tidelog_result *result)
{
    tidelog_error error = {0};
    tidelog_block block = {0};
    size_t rows = 0;
    int64_t sum = 0;
    block.struct_size = sizeof block;
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK) {
        for (size_t row = 0; row < block.rows; row++)
            sum += block.times_ns[row] + ((const int64_t *)block.columns[0].values)[row];
        rows += block.rows;
    }
    CHECK(error.code == 0 && sum >= 0);
    WORKS(tidelog_result_close(&result, &error));
    return rows;
}

/* Whole batches, and never fewer than were acknowledged before it asked. */
static void *asks(void *argument)
{
    tidelog_error error = {0};
    tidelog_result *result = NULL;
    tidelog_query_options latest = {0};
    (void)argument;
    latest.struct_size = sizeof latest;
    while (look(&finished) < WRITERS) {
        long before = look(&acknowledged);
        if (before == 0)
            continue;
        WORKS(tidelog_query(store, "race.rows", NULL, &result, &error));
        size_t rows = rows_of(result);
        CHECK(rows % ROWS == 0 && rows >= (size_t)before * ROWS);
        WORKS(tidelog_latest(store, "race.rows", &latest, &result, &error));
        CHECK(rows_of(result) <= WRITERS);
    }
    return NULL;
}

/* Every batch once, in the order of its writer. */
static void *follows(void *argument)
{
    tidelog_tail *tail = argument;
    tidelog_error error = {0};
    int64_t next[WRITERS] = {0};
    for (int told = 0; told < WRITERS * ROUNDS;) {
        tidelog_record record = {0};
        tidelog_result *rows = NULL;
        tidelog_block block = {0};
        int writer = 0;
        record.struct_size = sizeof record;
        block.struct_size = sizeof block;
        tidelog_status status = tidelog_tail_next(tail, UINT64_C(60000000000), &record, &rows, &error);
        CHECK(status == TIDELOG_OK && record.kind == TIDELOG_RECORD_ROWS);
        WORKS(tidelog_result_next(rows, &block, &error));
        CHECK(block.rows == ROWS && block.device_count == 1 && block.devices[0].length == 7);
        writer = block.devices[0].data[6] - '0';
        CHECK(writer >= 0 && writer < WRITERS && block.times_ns[0] == next[writer]);
        next[writer] += ROWS;
        told++;
        WORKS(tidelog_result_close(&rows, &error));
    }
    return NULL;
}

/* Flushes, merges, seals and looks while the others go on. */
static void *tends(void *argument)
{
    tidelog_error error = {0};
    (void)argument;
    for (int round = 0; look(&finished) < WRITERS; round++) {
        const struct timespec moment = {0, 2000000};
        tidelog_stats stats = {0};
        tidelog_result *result = NULL;
        stats.struct_size = sizeof stats;
        nanosleep(&moment, NULL);
        if (look(&acknowledged) == 0)
            continue;
        switch (round % 5) {
        case 0: WORKS(tidelog_flush(store, &error)); break;
        case 1: WORKS(tidelog_compact(store, NULL, NULL, &error)); break;
        case 2: WORKS(tidelog_seal(store, NULL, NULL, NULL, &error)); break;
        case 3: WORKS(tidelog_get_stats(store, &stats, &error)); break;
        default:
            WORKS(tidelog_digests(store, "race.rows", TIDELOG_LEVEL_ROOT, NULL, NULL, &result, &error));
            WORKS(tidelog_result_close(&result, &error));
            break;
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[WRITERS + READERS + 2];
    int numbers[WRITERS], all = 0;
    tidelog_error error = {0};
    tidelog_tail *tail = NULL;
    tidelog_result *result = NULL;
    tidelog_position begin;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    WORKS(tidelog_position_now(store, &begin, &error));
    /* The flushes of who tends would take the log away from who follows. */
    WORKS(tidelog_pin(store, "follower", &begin, 0, 0, &error));
    WORKS(tidelog_tail_open(store, &begin, &tail, &error));
    CHECK(pthread_create(&threads[all++], NULL, follows, tail) == 0);
    CHECK(pthread_create(&threads[all++], NULL, tends, NULL) == 0);
    for (int i = 0; i < READERS; i++)
        CHECK(pthread_create(&threads[all++], NULL, asks, NULL) == 0);
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[all++], NULL, writes, &numbers[i]) == 0);
    }
    for (int i = 0; i < all; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    WORKS(tidelog_query(store, "race.rows", NULL, &result, &error));
    CHECK(rows_of(result) == (size_t)WRITERS * ROUNDS * ROWS);
    WORKS(tidelog_tail_close(&tail, &error));
    WORKS(tidelog_close(&store, &error));
    return 0;
}
