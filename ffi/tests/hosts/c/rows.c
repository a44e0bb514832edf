/* A store from its creation to its end: what goes in comes out, and all that is asked of it is answered. */
#include "check.h"

static tidelog_error error;

#define HOUR INT64_C(3600000000000)

static const tidelog_write_options os = {sizeof(tidelog_write_options), TIDELOG_OS, 0};

/* The next block of a result, which has to have one. */
static tidelog_block next(tidelog_result *result)
{
    tidelog_block block;
    memset(&block, 0, sizeof block);
    block.struct_size = sizeof block;
    WORKS(tidelog_result_next(result, &block, &error));
    CHECK(block.rows > 0 && block.column_stride == sizeof(tidelog_column));
    return block;
}

static void end(tidelog_result **result)
{
    tidelog_block block = {0};
    block.struct_size = sizeof block;
    GIVES(TIDELOG_DONE, tidelog_result_next(*result, &block, &error));
    GIVES(TIDELOG_DONE, tidelog_result_next(*result, &block, &error));
    WORKS(tidelog_result_close(result, &error));
    CHECK(*result == NULL);
}

static const tidelog_column *column(const tidelog_block *block, const char *name)
{
    for (size_t i = 0; i < block->column_count; i++)
        if (strcmp(block->columns[i].name, name) == 0)
            return &block->columns[i];
    fprintf(stderr, "there is no column %s\n", name);
    exit(1);
}

static int there(const tidelog_column *column, size_t row)
{
    return !column->validity || (column->validity[row / 8] >> (row % 8) & 1);
}

static int is_text(const tidelog_column *column, size_t row, const char *text, size_t length)
{
    uint32_t start = row ? column->ends[row - 1] : 0;
    return there(column, row) && column->ends[row] - start == length
        && memcmp((const char *)column->values + start, text, length) == 0;
}

static int is_device(const tidelog_block *block, size_t row, const char *name)
{
    tidelog_text text = block->devices[block->row_devices[row]];
    return text.length == strlen(name) && memcmp(text.data, name, text.length) == 0;
}

#define VALUE(block, type, name, row) (((const type *)column(&(block), name)->values)[row])

/* Three rows of a device by columns, of every type; the second row has no value in any of them. */
static void append_columns(tidelog_batch *batch, const char *name, int64_t from)
{
    const uint8_t first_and_third = 5;
    const int64_t times[3] = {from, from + 1, from + 2};
    const double f64[3] = {-0.0, 9, 1e300};
    const float f32[3] = {0.5f, 9, -1};
    const int64_t i64[3] = {INT64_MIN, 9, INT64_C(9007199254740993)};
    const uint64_t u64[3] = {UINT64_MAX, 9, 0};
    const uint8_t boolean[3] = {1, 1, 0};
    const uint32_t text_ends[3] = {2, 4, 4};
    const uint32_t bytes_ends[3] = {3, 3, 4};
    const tidelog_column columns[] = {
        {"f64", f64, NULL, &first_and_third, TIDELOG_F64, 0},
        {"f32", f32, NULL, &first_and_third, TIDELOG_F32, 0},
        {"i64", i64, NULL, &first_and_third, TIDELOG_I64, 0},
        {"u64", u64, NULL, &first_and_third, TIDELOG_U64, 0},
        {"bool", boolean, NULL, &first_and_third, TIDELOG_BOOL, 0},
        {"string", "\xc3\xa4gone", text_ends, &first_and_third, TIDELOG_STRING, 0},
        {"bytes", "\0\xff\0x", bytes_ends, &first_and_third, TIDELOG_BYTES, 0},
        {"all", i64, NULL, NULL, TIDELOG_I64, 0},
    };
    uint32_t device = 0;
    WORKS(tidelog_batch_device(batch, name, &device, &error));
    WORKS(tidelog_batch_append(batch, device, times, 3, columns, 8, sizeof *columns, &error));
}

static void check_columns(const tidelog_block *block, size_t row)
{
    static const char *const sparse[] = {"f64", "f32", "i64", "u64", "bool", "string", "bytes"};
    uint64_t bits = 0;
    for (size_t i = 0; i < 7; i++) {
        CHECK(column(block, sparse[i])->kind == i + 1);
        CHECK(there(column(block, sparse[i]), row) && !there(column(block, sparse[i]), row + 1));
        CHECK(there(column(block, sparse[i]), row + 2));
    }
    memcpy(&bits, &VALUE(*block, double, "f64", row), sizeof bits);
    CHECK(bits == UINT64_C(1) << 63);
    CHECK(VALUE(*block, double, "f64", row + 2) == 1e300);
    CHECK(VALUE(*block, float, "f32", row) == 0.5f && VALUE(*block, float, "f32", row + 2) == -1);
    CHECK(VALUE(*block, int64_t, "i64", row) == INT64_MIN);
    CHECK(VALUE(*block, int64_t, "i64", row + 2) == INT64_C(9007199254740993));
    CHECK(VALUE(*block, uint64_t, "u64", row) == UINT64_MAX);
    CHECK(VALUE(*block, uint8_t, "bool", row) == 1 && VALUE(*block, uint8_t, "bool", row + 2) == 0);
    CHECK(is_text(column(block, "string"), row, "\xc3\xa4", 2));
    CHECK(is_text(column(block, "string"), row + 2, "", 0));
    CHECK(is_text(column(block, "bytes"), row, "\0\xff\0", 3));
    CHECK(is_text(column(block, "bytes"), row + 2, "x", 1));
    CHECK(there(column(block, "all"), row + 1) && VALUE(*block, int64_t, "all", row + 1) == 9);
}

/* The same three rows, value by value. */
static void append_rows(tidelog_batch *batch, const char *name, int64_t from)
{
    uint32_t device = 0, field[8];
    static const char *const names[] = {"f64", "f32", "i64", "u64", "bool", "string", "bytes", "all"};
    static const uint32_t kinds[] = {1, 2, 3, 4, 5, 6, 7, 3};
    WORKS(tidelog_batch_device(batch, name, &device, &error));
    for (int i = 0; i < 8; i++)
        WORKS(tidelog_batch_field(batch, names[i], kinds[i], &field[i], &error));
    for (int i = 0; i < 3; i++) {
        WORKS(tidelog_batch_row(batch, device, from + i, &error));
        WORKS(tidelog_batch_set_i64(batch, field[7], i == 0 ? INT64_MIN : i == 1 ? 9 : INT64_C(9007199254740993), &error));
        if (i == 1)
            continue;
        WORKS(tidelog_batch_set_f64(batch, field[0], i ? 1e300 : -0.0, &error));
        WORKS(tidelog_batch_set_f32(batch, field[1], i ? -1 : 0.5f, &error));
        WORKS(tidelog_batch_set_i64(batch, field[2], i ? INT64_C(9007199254740993) : INT64_MIN, &error));
        WORKS(tidelog_batch_set_u64(batch, field[3], i ? 0 : UINT64_MAX, &error));
        WORKS(tidelog_batch_set_bool(batch, field[4], i ? 0 : 42, &error));
        WORKS(tidelog_batch_set_string(batch, field[5], i ? NULL : "\xc3\xa4", i ? 0 : 2, &error));
        WORKS(tidelog_batch_set_bytes(batch, field[6], i ? "x" : "\0\xff\0", i ? 1 : 3, &error));
    }
}

static void every_type(tidelog_store *store)
{
    tidelog_batch *batch = NULL;
    tidelog_result *result = NULL;
    tidelog_receipt receipt = {0};
    size_t rows = 0;
    receipt.struct_size = sizeof receipt;
    WORKS(tidelog_batch_new("types.all", &batch, &error));
    append_columns(batch, "columns,line=north", 0);
    append_rows(batch, "rows", 0);
    WORKS(tidelog_batch_rows(batch, &rows, &error));
    CHECK(rows == 6);
    WORKS(tidelog_write(store, batch, NULL, &receipt, &error));
    CHECK(receipt.rows == 6 && receipt.stamp > 0);
    for (int flushed = 0; flushed < 2; flushed++) {
        WORKS(tidelog_query(store, "types.all", NULL, &result, &error));
        const tidelog_column *described = NULL;
        size_t count = 0;
        WORKS(tidelog_result_columns(result, &described, &count, &error));
        CHECK(count == 8);
        for (size_t i = 0; i < count; i++)
            CHECK(described[i].kind >= TIDELOG_F64 && !described[i].values && described[i].name[0]);
        for (size_t seen = 0; seen < 6; seen += 3) {
            static tidelog_block block;
            static size_t row;
            if (seen == 0 || row + 3 >= block.rows) {
                block = next(result);
                row = 0;
            } else {
                row += 3;
            }
            CHECK(is_device(&block, row, seen == 0 ? "columns,line=north" : "rows"));
            CHECK(block.times_ns[row] == 0 && block.times_ns[row + 2] == 2);
            check_columns(&block, row);
        }
        end(&result);
        WORKS(tidelog_flush(store, &error));
    }
    WORKS(tidelog_batch_close(&batch, &error));
}

static void write_hours(tidelog_store *store, const char *device, int64_t hours)
{
    tidelog_batch *batch = NULL;
    uint32_t number = 0, pressure = 0, on = 0;
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, device, &number, &error));
    WORKS(tidelog_batch_field(batch, "pressure", TIDELOG_F64, &pressure, &error));
    WORKS(tidelog_batch_field(batch, "on", TIDELOG_BOOL, &on, &error));
    for (int64_t minute = 0; minute < hours * 60; minute++) {
        WORKS(tidelog_batch_row(batch, number, minute * HOUR / 60, &error));
        WORKS(tidelog_batch_set_f64(batch, pressure, (double)minute, &error));
        WORKS(tidelog_batch_set_bool(batch, on, minute % 2 == 0, &error));
    }
    WORKS(tidelog_write(store, batch, &os, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static void durability(tidelog_store *store)
{
    tidelog_batch *batch = NULL;
    tidelog_ticket *tickets[4] = {0};
    tidelog_receipt receipt = {0};
    uint32_t device = 0;
    tidelog_write_options options = {sizeof options, TIDELOG_SYNC, 0};
    receipt.struct_size = sizeof receipt;
    WORKS(tidelog_batch_new("plant.tickets", &batch, &error));
    WORKS(tidelog_batch_device(batch, "d", &device, &error));
    for (int i = 0; i < 4; i++) {
        WORKS(tidelog_batch_row(batch, device, i, &error));
        WORKS(tidelog_submit(store, batch, &options, &tickets[i], &error));
        WORKS(tidelog_batch_clear(batch, &error));
    }
    for (int i = 3; i > 0; i--) {
        WORKS(tidelog_ticket_wait(tickets[i], &receipt, &error));
        WORKS(tidelog_ticket_wait(tickets[i], &receipt, &error));
        WORKS(tidelog_ticket_poll(tickets[i], &error));
        CHECK(receipt.rows == 1);
    }
    /* One that nobody waits for is written all the same. */
    for (int i = 0; i < 4; i++)
        WORKS(tidelog_ticket_close(&tickets[i], &error));
    WORKS(tidelog_batch_row(batch, device, 9, &error));
    options.durability = TIDELOG_INTERVAL;
    options.interval_ns = 1000000;
    WORKS(tidelog_write(store, batch, &options, NULL, &error));
    options.durability = TIDELOG_OS;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_write(store, batch, &options, NULL, &error));
    options.durability = 4;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_write(store, batch, &options, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
    tidelog_result *result = NULL;
    WORKS(tidelog_query(store, "plant.tickets", NULL, &result, &error));
    CHECK(next(result).rows == 5);
    end(&result);
}

static void questions(tidelog_store *store)
{
    const int64_t from = HOUR, to = 3 * HOUR;
    const char *const fields[] = {"pressure"};
    const char *const devices[] = {"pump_2"};
    tidelog_result *result = NULL;
    tidelog_explain explain = {0};
    tidelog_block block;
    explain.struct_size = sizeof explain;
    write_hours(store, "pump_1", 4);
    write_hours(store, "pump_2", 4);

    tidelog_query_options options = {0};
    options.struct_size = sizeof options;
    options.from_ns = &from;
    options.to_ns = &to;
    options.fields = fields;
    options.field_count = 1;
    options.every_ns = HOUR;
    options.aggregates = TIDELOG_MEAN | TIDELOG_COUNT | TIDELOG_MAX_TIME;
    options.devices.names = devices;
    options.devices.name_count = 1;
    WORKS(tidelog_query(store, "plant.boiler", &options, &result, &error));
    block = next(result);
    CHECK(block.rows == 2 && block.column_count == 3 && is_device(&block, 1, "pump_2"));
    CHECK(block.times_ns[0] == HOUR && VALUE(block, double, "pressure_mean", 0) == 89.5);
    CHECK(VALUE(block, uint64_t, "pressure_count", 1) == 60);
    CHECK(VALUE(block, int64_t, "pressure_max_time", 1) == 3 * HOUR - HOUR / 60);
    WORKS(tidelog_result_explain(result, &explain, &error));
    CHECK(explain.rows == 120 || explain.leaves == 2);
    end(&result);

    /* Over all devices, by the calendar of a zone, filled. */
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.flags = TIDELOG_QUERY_ALL_DEVICES;
    options.every_unit = TIDELOG_DAY;
    options.zone = "Europe/Berlin";
    options.aggregates = TIDELOG_SUM;
    options.fields = fields;
    options.field_count = 1;
    WORKS(tidelog_query(store, "plant.boiler", &options, &result, &error));
    block = next(result);
    CHECK(block.rows == 1 && block.row_devices == NULL && block.times_ns[0] == -HOUR);
    CHECK(VALUE(block, double, "pressure_sum", 0) == 239 * 240);
    end(&result);
    options.every_ns = HOUR;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_query(store, "plant.boiler", &options, &result, &error));

    /* Conditions, order, limit. */
    tidelog_predicate predicates[2];
    memset(predicates, 0, sizeof predicates);
    predicates[0].field = "pressure";
    predicates[0].comparison = TIDELOG_GREATER_OR_EQUAL;
    predicates[0].value.kind = TIDELOG_I64;
    predicates[0].value.integer = 10;
    predicates[1].field = "on";
    predicates[1].comparison = TIDELOG_EQUAL;
    predicates[1].value.kind = TIDELOG_BOOL;
    predicates[1].value.boolean = 1;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.flags = TIDELOG_QUERY_DESCENDING;
    options.limit = 3;
    options.threads = 1;
    options.predicates = predicates;
    options.predicate_count = 2;
    options.predicate_stride = sizeof *predicates;
    options.devices.prefix = "pump_1";
    WORKS(tidelog_query(store, "plant.boiler", &options, &result, &error));
    block = next(result);
    CHECK(block.rows == 3 && VALUE(block, double, "pressure", 0) == 238);
    end(&result);

    WORKS(tidelog_latest(store, "plant.boiler", NULL, &result, &error));
    block = next(result);
    CHECK(block.rows == 2 && VALUE(block, double, "pressure", 1) == 239);
    end(&result);

    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_downsample(store, "plant.boiler", &options, TIDELOG_LTTB, 10, &result, &error));
    options.fields = fields;
    options.field_count = 1;
    WORKS(tidelog_downsample(store, "plant.boiler", &options, TIDELOG_LTTB, 10, &result, &error));
    block = next(result);
    CHECK(block.rows == 20 && VALUE(block, double, "pressure", 19) == 239);
    end(&result);

    WORKS(tidelog_query(store, "plant.boiler", NULL, &result, &error));
    WORKS(tidelog_result_cancel(result, &error));
    block.struct_size = sizeof block;
    GIVES(TIDELOG_CANCELLED, tidelog_result_next(result, &block, &error));
    GIVES(TIDELOG_CANCELLED, tidelog_result_next(result, &block, &error));
    WORKS(tidelog_result_close(&result, &error));

    GIVES(TIDELOG_NOT_FOUND, tidelog_query(store, "plant.no", NULL, &result, &error));
    CHECK(result == NULL);
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_query(store, "no dot", NULL, &result, &error));
}

static void lists(tidelog_store *store)
{
    tidelog_result *result = NULL;
    tidelog_block block;
    WORKS(tidelog_collection_create(store, "plant.quarters", 15, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_collection_create(store, "plant.sevens", 7, &error));
    WORKS(tidelog_set_retention(store, "plant.boiler", "raw=30d,1h=1y", &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_set_retention(store, "plant.boiler", "raw=30", &error));
    GIVES(TIDELOG_NOT_FOUND, tidelog_set_retention(store, "plant.no", "raw=30d", &error));
    WORKS(tidelog_collections(store, &result, &error));
    block = next(result);
    CHECK(block.rows == 4 && block.times_ns == NULL && block.row_devices == NULL);
    CHECK(is_text(column(&block, "collection"), 0, "plant.boiler", 12));
    CHECK(is_text(column(&block, "retention"), 0, "raw=30d,1h=365d,1d=forever,1mo=forever,1y=forever", 49));
    CHECK(VALUE(block, uint64_t, "devices", 0) == 2 && VALUE(block, uint64_t, "rows", 0) == 480);
    CHECK(VALUE(block, int64_t, "last_ns", 0) == 4 * HOUR - HOUR / 60);
    CHECK(!there(column(&block, "first_ns"), 1));
    end(&result);
    WORKS(tidelog_fields(store, "types.all", &result, &error));
    block = next(result);
    CHECK(block.rows == 8);
    for (size_t row = 0; row < 8; row++)
        if (is_text(column(&block, "name"), row, "u64", 3))
            CHECK(VALUE(block, uint64_t, "kind", row) == TIDELOG_U64);
    end(&result);
    GIVES(TIDELOG_NOT_FOUND, tidelog_fields(store, "types.no", &result, &error));
}

static void digests_and_deletes(tidelog_store *store)
{
    tidelog_store *other = NULL;
    tidelog_result *result = NULL, *theirs = NULL;
    tidelog_block ours, block;
    uint8_t digest[32];
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "other", NULL, &other, &error));
    write_hours(other, "pump_1", 4);
    write_hours(other, "pump_2", 4);
    WORKS(tidelog_digests(store, "plant.boiler", TIDELOG_LEVEL_ROOT, NULL, NULL, &result, &error));
    WORKS(tidelog_digests(other, "plant.boiler", TIDELOG_LEVEL_ROOT, NULL, NULL, &theirs, &error));
    ours = next(result);
    block = next(theirs);
    CHECK(ours.rows == 1 && column(&ours, "digest")->ends[0] == 32);
    memcpy(digest, column(&ours, "digest")->values, 32);
    CHECK(memcmp(digest, column(&block, "digest")->values, 32) == 0);
    end(&result);
    end(&theirs);
    WORKS(tidelog_compare(store, other, "plant.boiler", 0, &result, &error));
    end(&result);

    const int64_t from = HOUR, to = HOUR + HOUR / 60;
    const char *const devices[] = {"pump_1"};
    uint64_t stamp = 0;
    tidelog_delete_options options = {0};
    options.struct_size = sizeof options;
    options.from_ns = &from;
    options.to_ns = &to;
    options.devices.names = devices;
    options.devices.name_count = 1;
    WORKS(tidelog_delete(store, "plant.boiler", &options, &stamp, &error));
    CHECK(stamp > 0);
    options.to_ns = &from;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_delete(store, "plant.boiler", &options, &stamp, &error));
    WORKS(tidelog_compare(store, other, "plant.boiler", 0, &result, &error));
    block = next(result);
    CHECK(block.rows == 1 && VALUE(block, uint64_t, "missing", 0) == 1);
    CHECK(VALUE(block, uint64_t, "rows_here", 0) == 59 && VALUE(block, int64_t, "first_ns", 0) == HOUR);
    end(&result);
    WORKS(tidelog_digests(store, "plant.boiler", TIDELOG_LEVEL_SERIES, &from, &to, &result, &error));
    CHECK(next(result).rows == 2);
    end(&result);
    WORKS(tidelog_close(&other, &error));
}

static int stop(void *user, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    return ++*(int *)user > 0;
}

static void upkeep(tidelog_store *store)
{
    int told = 0;
    tidelog_seal_report sealed = {0};
    tidelog_check_report checked = {0};
    tidelog_result *findings = NULL;
    tidelog_stats stats = {0};
    sealed.struct_size = sizeof sealed;
    checked.struct_size = sizeof checked;
    stats.struct_size = sizeof stats;
    WORKS(tidelog_flush(store, &error));
    WORKS(tidelog_seal(store, NULL, NULL, &sealed, &error));
    /* The store may have done so by itself, a moment before. */
    CHECK((sealed.leaves > 0) == (sealed.rows > 0));
    GIVES(TIDELOG_STOPPED, tidelog_compact(store, stop, &told, &error));
    CHECK(told == 1);
    WORKS(tidelog_compact(store, NULL, NULL, &error));
    GIVES(TIDELOG_STOPPED, tidelog_check(store, stop, &told, &checked, &findings, &error));
    CHECK(findings == NULL && checked.files == 0);
    WORKS(tidelog_check(store, NULL, NULL, &checked, &findings, &error));
    CHECK(checked.findings == 0 && checked.files > 0 && checked.rows > 0);
    end(&findings);
    WORKS(tidelog_get_stats(store, &stats, &error));
    CHECK(stats.rows_written == 6 + 5 + 480 && stats.flushes > 0 && stats.compactions > 0);
    CHECK(stats.poisoned == 0 && stats.tombstones == 1);
}

static void tails(tidelog_store *store)
{
    tidelog_tail *tail = NULL, *again = NULL;
    tidelog_record record = {0};
    tidelog_result *rows = NULL;
    tidelog_batch *batch = NULL;
    tidelog_block block;
    record.struct_size = sizeof record;
    WORKS(tidelog_tail_open(store, NULL, &tail, &error));
    GIVES(TIDELOG_NOTHING, tidelog_tail_next(tail, 1000000, &record, &rows, &error));
    WORKS(tidelog_batch_new("types.all", &batch, &error));
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "tail_%d", i);
        append_columns(batch, name, 100);
    }
    WORKS(tidelog_write(store, batch, &os, NULL, &error));
    WORKS(tidelog_delete(store, "types", NULL, NULL, &error));
    WORKS(tidelog_tail_next(tail, UINT64_C(1000000000), &record, &rows, &error));
    CHECK(record.kind == TIDELOG_RECORD_ROWS && strcmp(record.collection, "types.all") == 0);
    block = next(rows);
    CHECK(block.rows == 60 && block.device_count == 20);
    for (size_t row = 0; row < 60; row += 3)
        check_columns(&block, row);
    end(&rows);
    tidelog_position position = record.next;
    WORKS(tidelog_tail_next(tail, UINT64_C(1000000000), &record, &rows, &error));
    CHECK(record.kind == TIDELOG_RECORD_DELETE && strcmp(record.collection, "types") == 0);
    block = next(rows);
    CHECK(block.rows == 1 && is_text(column(&block, "database"), 0, "types", 5));
    CHECK(!there(column(&block, "collection"), 0) && VALUE(block, int64_t, "last_ns", 0) == INT64_MAX);
    end(&rows);
    /* From a position, and from one of another opening. */
    WORKS(tidelog_tail_open(store, &position, &again, &error));
    WORKS(tidelog_tail_next(again, 0, &record, NULL, &error));
    CHECK(record.kind == TIDELOG_RECORD_DELETE);
    WORKS(tidelog_tail_close(&again, &error));
    position.incarnation[0] ^= 1;
    GIVES(TIDELOG_GONE, tidelog_tail_open(store, &position, &again, &error));
    WORKS(tidelog_tail_close(&tail, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

/* What was made from a store is read after it was closed. */
static void children(void)
{
    tidelog_store *store = NULL, *reader = NULL;
    tidelog_open_options options = {0};
    tidelog_result *result = NULL;
    tidelog_ticket *ticket = NULL;
    tidelog_batch *batch = NULL;
    tidelog_tail *tail = NULL;
    tidelog_record record = {0};
    uint32_t device = 0;
    size_t rows = 0;
    tidelog_block block = {0};
    record.struct_size = sizeof record;
    block.struct_size = sizeof block;
    options.struct_size = sizeof options;
    options.flags = TIDELOG_OPEN_EXISTING;
    GIVES(TIDELOG_NOT_FOUND, tidelog_open(TIDELOG_ABI_VERSION, "children", &options, &store, &error));
    options.flags = 0;
    options.groups = 2;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "children", &options, &store, &error));
    write_hours(store, "pump", 1000);
    WORKS(tidelog_query(store, "plant.boiler", NULL, &result, &error));
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    WORKS(tidelog_batch_device(batch, "pump", &device, &error));
    WORKS(tidelog_batch_row(batch, device, -1, &error));
    WORKS(tidelog_submit(store, batch, NULL, &ticket, &error));
    WORKS(tidelog_tail_open(store, NULL, &tail, &error));
    WORKS(tidelog_close(&store, &error));
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        rows += block.rows;
    CHECK(error.code == 0 && rows == 60000);
    WORKS(tidelog_ticket_wait(ticket, NULL, &error));
    GIVES(TIDELOG_NOTHING, tidelog_tail_next(tail, 0, &record, NULL, &error));
    WORKS(tidelog_ticket_close(&ticket, &error));
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_tail_close(&tail, &error));

    options.groups = 3;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_open(TIDELOG_ABI_VERSION, "children", &options, &store, &error));
    options.groups = 0;
    options.flags = TIDELOG_OPEN_READ_ONLY | TIDELOG_OPEN_PLAIN_READS;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "children", &options, &reader, &error));
    GIVES(TIDELOG_READ_ONLY, tidelog_write(reader, batch, NULL, NULL, &error));
    GIVES(TIDELOG_READ_ONLY, tidelog_tail_open(reader, NULL, &tail, &error));
    WORKS(tidelog_query(reader, "plant.boiler", NULL, &result, &error));
    rows = 0;
    while (tidelog_result_next(result, &block, &error) == TIDELOG_OK)
        rows += block.rows;
    CHECK(rows == 60001);
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_close(&reader, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

int main(void)
{
    tidelog_store *store = NULL;
    tidelog_store_info info = {0};
    info.struct_size = sizeof info;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    every_type(store);
    durability(store);
    questions(store);
    lists(store);
    digests_and_deletes(store);
    upkeep(store);
    tails(store);
    WORKS(tidelog_store_describe(store, &info, &error));
    CHECK(info.groups == 8 && info.damaged == 0 && info.log_records == 0);
    WORKS(tidelog_close(&store, &error));
    children();
    return 0;
}
