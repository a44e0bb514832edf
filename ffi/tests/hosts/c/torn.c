/* What ThreadSanitizer has to find: a column is changed while the library reads it, which tidelog.h forbids. When it says nothing
 * of this, it does not watch the library, and what else it says is worth nothing. */
#include <pthread.h>
#include "check.h"

#define ROWS 100000

static uint8_t values[ROWS];

static void *changes(void *argument)
{
    (void)argument;
    for (int round = 0; round < 100; round++)
        for (int row = 0; row < ROWS; row++)
            values[row] = round & 1;
    return NULL;
}

int main(void)
{
    static int64_t times[ROWS];
    tidelog_error error = {0};
    tidelog_batch *batch = NULL;
    tidelog_column column = {0};
    uint32_t device = 0;
    pthread_t thread;
    for (int row = 0; row < ROWS; row++)
        times[row] = row;
    column.name = "on";
    column.kind = TIDELOG_BOOL;
    column.values = values;
    WORKS(tidelog_batch_new("race.torn", &batch, &error));
    WORKS(tidelog_batch_device(batch, "d", &device, &error));
    CHECK(pthread_create(&thread, NULL, changes, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        WORKS(tidelog_batch_clear(batch, &error));
        WORKS(tidelog_batch_append(batch, device, times, ROWS, &column, 1, sizeof column, &error));
    }
    CHECK(pthread_join(thread, NULL) == 0);
    WORKS(tidelog_batch_close(&batch, &error));
    return 0;
}
