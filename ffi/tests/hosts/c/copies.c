/* Backups, adopted and recovered; pins; epochs; how long a state held. */
#include "check.h"

static tidelog_error error;

static void write_rows(tidelog_store *store, int rows)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0, field = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, "pump", &device, &error));
    WORKS(tidelog_batch_field(batch, "mode", TIDELOG_I64, &field, &error));
    for (int i = 0; i < rows; i++) {
        WORKS(tidelog_batch_row(batch, device, i * 1000, &error));
        WORKS(tidelog_batch_set_i64(batch, field, i % 2, &error));
    }
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static int32_t stop(void *user, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    ++*(int *)user;
    return 1;
}

static void states(const tidelog_store *store)
{
    tidelog_query_options options = {0};
    tidelog_predicate state = {0};
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    int64_t from = 0, to = 10000;
    options.struct_size = sizeof options;
    options.from_ns = &from;
    options.to_ns = &to;
    options.states = &state;
    options.state_count = 1;
    options.state_stride = sizeof state;
    state.field = "mode";
    state.comparison = TIDELOG_EQUAL;
    state.value.kind = TIDELOG_I64;
    state.value.integer = 1;
    block.struct_size = sizeof block;
    WORKS(tidelog_query(store, "plant.boiler", &options, &result, &error));
    WORKS(tidelog_result_next(result, &block, &error));
    CHECK(block.rows == 1 && block.column_count == 1 && strcmp(block.columns[0].name, "mode_in_1") == 0);
    CHECK(block.columns[0].kind == TIDELOG_I64 && *(const int64_t *)block.columns[0].values == 5000);
    WORKS(tidelog_result_close(&result, &error));
    state.comparison = TIDELOG_LESS;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_query(store, "plant.boiler", &options, &result, &error));
    CHECK(strstr(error.message, "the state of mode"));
}

static void pins(tidelog_store *store)
{
    tidelog_position begin, now;
    tidelog_tail *tail = NULL;
    tidelog_record record = {0};
    record.struct_size = sizeof record;
    WORKS(tidelog_position_now(store, &begin, &error));
    WORKS(tidelog_pin(store, "reader", &begin, 0, 0, &error));
    write_rows(store, 3);
    WORKS(tidelog_flush(store, &error));
    WORKS(tidelog_position_now(store, &now, &error));
    CHECK(now.offset > begin.offset);
    /* A flush deletes the log, but for what is pinned. */
    WORKS(tidelog_tail_open(store, &begin, &tail, &error));
    WORKS(tidelog_tail_next(tail, 1000000000, &record, NULL, &error));
    CHECK(record.kind == TIDELOG_RECORD_ROWS);
    WORKS(tidelog_tail_close(&tail, &error));
    WORKS(tidelog_unpin(store, "reader", &error));
    WORKS(tidelog_unpin(store, "reader", &error));
    now.incarnation[0] ^= 1;
    CHECK(tidelog_pin(store, "reader", &now, 0, 0, &error) < 0 && strstr(error.message, "another opening"));
}

int main(void)
{
    tidelog_store *store = NULL, *copy = NULL;
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    tidelog_backup_report backup = {0};
    tidelog_recover_report recovered = {0};
    tidelog_store_info info = {0}, other = {0};
    unsigned char id[16];
    int told = 0;
    block.struct_size = sizeof block;
    backup.struct_size = sizeof backup;
    recovered.struct_size = sizeof recovered;
    info.struct_size = other.struct_size = sizeof info;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    write_rows(store, 10);
    states(store);
    pins(store);
    WORKS(tidelog_epochs(store, &result, &error));
    CHECK(tidelog_result_next(result, &block, &error) == TIDELOG_DONE);
    WORKS(tidelog_result_close(&result, &error));

    WORKS(tidelog_backup(store, "copy", NULL, NULL, &backup, &error));
    CHECK(backup.rows >= 10 && backup.files > 0 && backup.bytes > 0);
    GIVES(TIDELOG_LOCKED, tidelog_backup(store, "copy", NULL, NULL, NULL, &error));
    CHECK(tidelog_backup(store, "stopped", stop, &told, NULL, &error) == TIDELOG_STOPPED && told > 0);
    GIVES(TIDELOG_LOCKED, tidelog_recover("store", NULL, NULL, NULL, NULL, &error));
    GIVES(TIDELOG_NOT_FOUND, tidelog_recover("nowhere", NULL, NULL, NULL, NULL, &error));
    WORKS(tidelog_adopt("copy", id, &error));
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "copy", NULL, &copy, &error));
    WORKS(tidelog_store_describe(store, &info, &error));
    WORKS(tidelog_store_describe(copy, &other, &error));
    CHECK(memcmp(other.store_id, id, sizeof id) == 0 && memcmp(info.store_id, id, sizeof id) != 0);
    WORKS(tidelog_compare(store, copy, "plant.boiler", 0, &result, &error));
    CHECK(tidelog_result_next(result, &block, &error) == TIDELOG_DONE);
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_close(&copy, &error));
    WORKS(tidelog_recover("copy", NULL, NULL, &recovered, &result, &error));
    CHECK(recovered.findings == 0 && recovered.manifest_replaced == 0 && recovered.rows >= 10);
    CHECK(tidelog_result_next(result, &block, &error) == TIDELOG_DONE);
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_close(&store, &error));
    return 0;
}
