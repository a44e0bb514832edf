/*
 * A sensor loop that survives a power cut: a reading is on the disk before it counts as taken.
 *
 *     cc logger.c $(pkg-config --cflags --libs tidelog) -lm -o logger && ./logger plant 1000
 *
 * Readings are taken faster than a disk syncs, so a few writes are on their way at a time and share their fsyncs; what was
 * acknowledged is printed at the end. Run it again: it goes on behind its last row.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tidelog.h>

#define ON_THEIR_WAY 8

static tidelog_error error;

/* What a call came to, when it is an error: the message says what, where and what to do. */
static void check(tidelog_status status)
{
    if (status < 0) {
        fprintf(stderr, "logger: %s\n", error.message);
        exit(1);
    }
}

/* The time behind the last row of the device; 0 in a new store. */
static int64_t resume(const tidelog_store *store)
{
    const char *const devices[] = {"sensor_1"};
    tidelog_query_options options = {0};
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    int64_t next = 0;
    options.struct_size = sizeof options;
    options.devices.names = devices;
    options.devices.name_count = 1;
    block.struct_size = sizeof block;
    tidelog_status status = tidelog_latest(store, "plant.readings", &options, &result, &error);
    if (status == TIDELOG_NOT_FOUND)
        return 0;
    check(status);
    if (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        next = block.times_ns[0] + 1;
    check(tidelog_result_close(&result, &error));
    return next;
}

int main(int count, char **arguments)
{
    const char *path = count > 1 ? arguments[1] : "plant";
    long readings = count > 2 ? atol(arguments[2]) : 1000, acknowledged = 0;
    tidelog_store *store = NULL;
    tidelog_batch *batch = NULL;
    tidelog_ticket *tickets[ON_THEIR_WAY] = {0};
    uint32_t sensor, temperature, alarm;

    check(tidelog_open(TIDELOG_ABI_VERSION, path, NULL, &store, &error));
    check(tidelog_batch_new("plant.readings", &batch, &error));
    check(tidelog_batch_device(batch, "sensor_1", &sensor, &error));
    check(tidelog_batch_field(batch, "temperature", TIDELOG_F64, &temperature, &error));
    check(tidelog_batch_field(batch, "alarm", TIDELOG_BOOL, &alarm, &error));

    int64_t first = resume(store);
    for (long n = 0; n < readings + ON_THEIR_WAY; n++) {
        tidelog_ticket **slot = &tickets[n % ON_THEIR_WAY];
        if (*slot) {
            check(tidelog_ticket_wait(*slot, NULL, &error));
            check(tidelog_ticket_close(slot, &error));
            acknowledged++;
        }
        if (n >= readings)
            continue;
        double reading = 20 + 5 * sin((double)n / 100); /* here a real sensor is read */
        check(tidelog_batch_clear(batch, &error));
        check(tidelog_batch_row(batch, sensor, first + n, &error));
        check(tidelog_batch_set_f64(batch, temperature, reading, &error));
        check(tidelog_batch_set_bool(batch, alarm, reading > 24, &error));
        check(tidelog_submit(store, batch, NULL, slot, &error));
    }
    printf("%ld readings are on the disk, from %lld on\n", acknowledged, (long long)first);
    check(tidelog_batch_close(&batch, &error));
    check(tidelog_close(&store, &error));
    return 0;
}
