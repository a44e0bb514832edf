/* Eight threads use, close and misuse the same handles: random calls, no crash, no answer but a status. */
#include <pthread.h>
#include "check.h"

#define THREADS 8
#ifndef CALLS
#define CALLS 125000
#endif

/* Shared on purpose, without locks: handles may be stale at any time. */
static _Atomic(tidelog_store *) store;
static _Atomic(tidelog_batch *) batches[4];
static _Atomic(tidelog_result *) results[4];
static _Atomic(tidelog_ticket *) tickets[4];

static uint32_t draw(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Calls of each thread that worked, so that not all is refused. */
static _Thread_local long worked;
static long worked_by[THREADS];

/* Positive outcomes and errors that a race may give. */
static void fair(tidelog_status status)
{
    worked += status == TIDELOG_OK;
    switch (status) {
    case TIDELOG_OK: case TIDELOG_DONE: case TIDELOG_NOTHING: case TIDELOG_INVALID_HANDLE:
    case TIDELOG_INVALID_ARGUMENT: case TIDELOG_CLOSED: case TIDELOG_LOCKED: case TIDELOG_NOT_FOUND:
    case TIDELOG_TYPE_CONFLICT: case TIDELOG_CANCELLED: case TIDELOG_LIMIT:
        return;
    default:
        fprintf(stderr, "a call gave %d: %s\n", (int)status, tidelog_status_text(status));
        exit(1);
    }
}

static void reopen(void)
{
    tidelog_store *own = store;
    store = NULL;
    fair(tidelog_close(&own, NULL));
    fair(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &own, NULL));
    if (own)
        store = own;
}

static void on_a_batch(uint32_t which, uint32_t random)
{
    static const char *const kinds[] = {"n", "text"};
    tidelog_batch *batch = batches[which];
    uint32_t number = 0;
    switch (random % 6) {
    case 0: {
        tidelog_batch *new_batch = NULL;
        fair(tidelog_batch_new("race.all", &new_batch, NULL));
        batches[which] = new_batch;
        fair(tidelog_batch_close(&batch, NULL));
        break;
    }
    case 1: fair(tidelog_batch_device(batch, random % 12 ? "a" : "b,k=v", &number, NULL)); break;
    case 2: fair(tidelog_batch_field(batch, kinds[random / 6 % 2], random / 12 % 8, &number, NULL)); break;
    case 3: fair(tidelog_batch_row(batch, random / 6 % 3, random, NULL)); break;
    case 4: fair(tidelog_batch_set_i64(batch, random / 6 % 3, random, NULL)); break;
    default: fair(tidelog_batch_clear(batch, NULL)); break;
    }
}

static void on_a_result(uint32_t which, uint32_t random, uint32_t own)
{
    tidelog_result *result = results[which];
    tidelog_explain explain = {0};
    explain.struct_size = sizeof explain;
    switch (random % 4) {
    case 0: {
        tidelog_result *new_result = NULL;
        fair(tidelog_query(store, "race.all", NULL, &new_result, NULL));
        results[which] = new_result;
        fair(tidelog_result_close(&result, NULL));
        break;
    }
    case 1:
        /* What a block points to belongs to one thread at a time: each reads results of its own only. */
        result = NULL;
        if (tidelog_query(store, "race.all", NULL, &result, NULL) == TIDELOG_OK) {
            tidelog_block block = {0};
            int64_t sum = 0;
            block.struct_size = sizeof block;
            while (tidelog_result_next(result, &block, NULL) == TIDELOG_OK)
                for (size_t row = 0; row < block.rows; row++)
                    sum += block.times_ns[row];
            fair(sum >= 0 ? TIDELOG_OK : TIDELOG_PANIC);
            fair(tidelog_result_close(&result, NULL));
        }
        break;
    case 2: fair(tidelog_result_cancel(result, NULL)); break;
    default: fair(tidelog_result_explain(result, &explain, NULL)); break;
    }
    (void)own;
}

static void *work(void *argument)
{
    uint32_t own = *(uint32_t *)argument, seed = 12345 + own * 7919;
    tidelog_write_options os = {sizeof os, TIDELOG_OS, 0};
    for (int i = 0; i < CALLS; i++) {
        uint32_t random = draw(&seed), which = random % 4;
        random /= 4;
        switch (random % 16) {
        case 0: case 1: case 2: case 3: case 4: case 5: on_a_batch(which, random / 16); break;
        case 6: case 7: fair(tidelog_write(store, batches[which], &os, NULL, NULL)); break;
        case 8: {
            tidelog_ticket *ticket = NULL, *old = tickets[which];
            fair(tidelog_submit(store, batches[which], &os, &ticket, NULL));
            tickets[which] = ticket;
            fair(tidelog_ticket_poll(old, NULL));
            fair(tidelog_ticket_wait(old, NULL, NULL));
            fair(tidelog_ticket_close(&old, NULL));
            break;
        }
        case 9: case 10: case 11: case 12: on_a_result(which, random / 16, own); break;
        case 13: {
            tidelog_stats stats = {0};
            stats.struct_size = sizeof stats;
            fair(tidelog_get_stats(store, &stats, NULL));
            break;
        }
        case 14: if (random / 16 % 64 == 0) fair(tidelog_flush(store, NULL)); break;
        default: if (random / 16 % 64 == 0) reopen(); break;
        }
    }
    worked_by[own] = worked;
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    uint32_t numbers[THREADS];
    tidelog_store *own = NULL;
    tidelog_error error = {0};
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &own, &error));
    store = own;
    for (uint32_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(worked_by[i] > CALLS / 20);
    }
    for (int i = 0; i < 4; i++) {
        tidelog_batch *batch = batches[i];
        tidelog_result *result = results[i];
        tidelog_ticket *ticket = tickets[i];
        fair(tidelog_batch_close(&batch, NULL));
        fair(tidelog_result_close(&result, NULL));
        fair(tidelog_ticket_close(&ticket, NULL));
    }
    own = store;
    fair(tidelog_close(&own, NULL));
    return 0;
}
