/* Compiled with a header whose structs are shorter than the library's. */
#include "check.h"

int main(void)
{
    struct { tidelog_error error; unsigned char behind[512]; } guarded;
    memset(&guarded, 0x5a, sizeof guarded);
    memset(&guarded.error, 0, sizeof guarded.error);
    guarded.error.struct_size = sizeof guarded.error;
#define error guarded.error
    CHECK(sizeof error == 116);

    tidelog_open_options options = {0};
    options.struct_size = sizeof options;
    options.segment_bytes = 1 << 20;
    tidelog_store *store = NULL;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", &options, &store, &error));

    tidelog_batch *batch = NULL;
    uint32_t device = 0, field = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, "pump", &device, &error));
    WORKS(tidelog_batch_field(batch, "pressure", TIDELOG_F64, &field, &error));
    for (int i = 0; i < 10; i++) {
        WORKS(tidelog_batch_row(batch, device, i, &error));
        WORKS(tidelog_batch_set_f64(batch, field, i / 2.0, &error));
    }
    tidelog_write_options os = {sizeof os, TIDELOG_OS};
    struct { tidelog_receipt receipt; uint64_t behind; } receipt = {{sizeof receipt.receipt, 0, 0}, 77};
    WORKS(tidelog_write(store, batch, &os, &receipt.receipt, &error));
    CHECK(receipt.receipt.rows == 10 && receipt.behind == 77);

    struct { tidelog_stats stats; uint64_t behind; } stats = {{sizeof stats.stats, 0, 0, 0}, 77};
    WORKS(tidelog_get_stats(store, &stats.stats, &error));
    CHECK(stats.stats.rows_written == 10 && stats.behind == 77);

    tidelog_query_options query = {sizeof query, TIDELOG_QUERY_DESCENDING, 3};
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    block.struct_size = sizeof block;
    WORKS(tidelog_query(store, "plant.boiler", &query, &result, &error));
    WORKS(tidelog_result_next(result, &block, &error));
    CHECK(block.rows == 3 && block.times_ns[0] == 9);
    GIVES(TIDELOG_DONE, tidelog_result_next(result, &block, &error));
    WORKS(tidelog_result_close(&result, &error));

    /* A message that does not fit is cut, and nothing behind it is touched. */
    CHECK(tidelog_query(store, "plant.no such collection, with a name that is long enough to be cut off somewhere in the middle of it", NULL, &result, &error) == TIDELOG_NOT_FOUND);
    CHECK(error.code == TIDELOG_NOT_FOUND && strlen(error.message) == 99 && error.message_length > 99);
    for (size_t i = 0; i < sizeof guarded.behind; i++)
        CHECK(guarded.behind[i] == 0x5a);

    WORKS(tidelog_batch_close(&batch, &error));
    WORKS(tidelog_close(&store, &error));
    return 0;
}
