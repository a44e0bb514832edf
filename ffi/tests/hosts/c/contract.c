/* What nobody should do: each is an error, and the process goes on. */
#include "check.h"

tidelog_status call(const char *name, tidelog_error *error);

static tidelog_error error;

static tidelog_store *opened(const char *path)
{
    tidelog_store *store = NULL;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, path, NULL, &store, &error));
    return store;
}

/* Every function with zeros and NULLs, with an error and without. */
static void zeros(void)
{
    static const char *const functions[] = {
        "tidelog_version", "tidelog_abi_range", "tidelog_features", "tidelog_status_text",
        "tidelog_open", "tidelog_store_describe", "tidelog_batch_new", "tidelog_batch_clear",
        "tidelog_batch_rows", "tidelog_batch_device", "tidelog_batch_field", "tidelog_batch_row",
        "tidelog_batch_set_f64", "tidelog_batch_set_f32", "tidelog_batch_set_i64",
        "tidelog_batch_set_u64", "tidelog_batch_set_bool", "tidelog_batch_set_string",
        "tidelog_batch_set_bytes", "tidelog_batch_append", "tidelog_batch_append_arrow",
        "tidelog_write", "tidelog_submit", "tidelog_ticket_wait", "tidelog_ticket_poll",
        "tidelog_result_columns", "tidelog_result_next", "tidelog_result_to_arrow",
        "tidelog_result_cancel", "tidelog_result_explain", "tidelog_query", "tidelog_latest",
        "tidelog_downsample", "tidelog_collections", "tidelog_fields", "tidelog_collection_create",
        "tidelog_set_retention", "tidelog_delete", "tidelog_flush", "tidelog_seal",
        "tidelog_compact", "tidelog_check", "tidelog_get_stats", "tidelog_digests",
        "tidelog_compare", "tidelog_tail_open", "tidelog_tail_next", "tidelog_identity_create",
        "tidelog_identity_fingerprint", "tidelog_node_start", "tidelog_node_address",
        "tidelog_node_ready", "tidelog_node_status", "tidelog_node_groups", "tidelog_node_repair",
        "tidelog_node_on_event", "tidelog_node_set_policy", "tidelog_policy_plan_add",
        "tidelog_policy_plan_explain", "tidelog_policy_replay", "tidelog_sync"};
    /* Of these NULL is no error. */
    static const char *const closing[] = {
        "tidelog_close", "tidelog_batch_close", "tidelog_ticket_close", "tidelog_result_close",
        "tidelog_tail_close", "tidelog_node_stop", "tidelog_log_set"};
    CHECK(sizeof functions / sizeof *functions + sizeof closing / sizeof *closing == 68);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        tidelog_status status = call(functions[i], &error);
        CHECK(status != -1000);
        if (i >= 4) {
            CHECK(status == TIDELOG_INVALID_ARGUMENT || status == TIDELOG_INVALID_HANDLE);
            CHECK(error.code == status && error.kind == TIDELOG_KIND_FIX_CALL);
            CHECK(strstr(error.message, "NULL"));
        }
        CHECK(call(functions[i], NULL) == status);
    }
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++) {
        WORKS(call(closing[i], &error));
        WORKS(call(closing[i], NULL));
    }
}

/* What a call would give is NULL after every error, and what it takes is taken. */
static void variables(void)
{
    tidelog_store *store = opened("variables");
    tidelog_result *result = NULL, *copy;
    tidelog_tail *tail = NULL;
    tidelog_query_options options = {0};
    const char *field = "f";
    options.struct_size = sizeof options;
    options.fields = &field;
    options.field_count = 1;
    result = (tidelog_result *)(void *)store;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_downsample(store, "a.b", &options, 99, 10, &result, &error));
    CHECK(result == NULL);
    WORKS(tidelog_tail_open(store, NULL, &tail, &error));
    result = (tidelog_result *)(void *)store;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_tail_next(tail, 0, NULL, &result, &error));
    CHECK(result == NULL);
    WORKS(tidelog_tail_close(&tail, &error));
    WORKS(tidelog_collections(store, &result, &error));
    copy = result;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_result_to_arrow(&result, NULL, &error));
    CHECK(result == NULL);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_result_cancel(copy, &error));
    WORKS(tidelog_close(&store, &error));
}

static void handles(void)
{
    tidelog_store *store = opened("handles"), *copy = store, *locked = NULL;
    tidelog_batch *batch = NULL, *batch_copy;
    size_t rows = 0;
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    batch_copy = batch;

    /* Of another kind. */
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_flush((tidelog_store *)(void *)batch, &error));
    CHECK(strstr(error.message, "is a batch, not a store"));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_batch_rows((tidelog_batch *)(void *)store, &rows, &error));

    /* Never a handle: a pointer to something, numbers. */
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_flush((tidelog_store *)(void *)&store, &error));
    for (uintptr_t number = 1; number != 0; number <<= 1)
        GIVES(TIDELOG_INVALID_HANDLE, tidelog_flush((tidelog_store *)number, &error));

    /* A store that is open for writing elsewhere, and its variable after an error. */
    locked = store;
    GIVES(TIDELOG_LOCKED, tidelog_open(TIDELOG_ABI_VERSION, "handles", NULL, &locked, &error));
    CHECK(locked == NULL && error.kind == TIDELOG_KIND_RETRY);

    /* Closed twice, used after it was closed; also when another took its place. */
    WORKS(tidelog_batch_close(&batch, &error));
    CHECK(batch == NULL);
    WORKS(tidelog_batch_close(&batch, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_batch_rows(batch_copy, &rows, &error));
    CHECK(strstr(error.message, "was closed before"));
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    CHECK(batch != batch_copy);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_batch_clear(batch_copy, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_batch_close(&batch_copy, &error));
    CHECK(batch_copy == NULL);
    WORKS(tidelog_batch_rows(batch, &rows, &error));
    WORKS(tidelog_batch_close(&batch, &error));
    WORKS(tidelog_close(&store, &error));
    CHECK(store == NULL);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_flush(copy, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_close(&copy, &error));
}

/* Options of a later version: what is zero is taken, what is not is refused. */
static void sizes(void)
{
    struct { tidelog_open_options options; uint64_t later[4]; } newer;
    tidelog_store *store = NULL;
    tidelog_open_options options = {0};
    tidelog_store_info info = {0};
    static const uint32_t wrong[] = {0, 1, 7, 4097, UINT32_MAX};

    memset(&newer, 0, sizeof newer);
    newer.options.struct_size = sizeof newer;
    newer.later[2] = 1;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_open(TIDELOG_ABI_VERSION, "sizes", &newer.options, &store, &error));
    CHECK(error.kind == TIDELOG_KIND_UPGRADE);
    newer.later[2] = 0;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "sizes", &newer.options, &store, &error));

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tidelog_store *other = NULL;
        options.struct_size = wrong[i];
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_open(TIDELOG_ABI_VERSION, "other", &options, &other, &error));
        CHECK(strstr(error.message, "sizeof(tidelog_open_options)"));
        info.struct_size = wrong[i];
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_store_describe(store, &info, &error));
    }
    options.struct_size = sizeof options;
    options.flags = 1u << 31;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_open(TIDELOG_ABI_VERSION, "other", &options, &store, &error));
    CHECK(store == NULL);

    /* A struct that the library fills is filled as far as it is known, and zero behind that. */
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "another", NULL, &store, &error));
    struct { tidelog_store_info info; uint64_t later; } longer;
    memset(&longer, 0xff, sizeof longer);
    longer.info.struct_size = sizeof longer;
    WORKS(tidelog_store_describe(store, &longer.info, &error));
    CHECK(longer.info.groups == 8 && longer.later == 0 && longer.info.struct_size == sizeof longer);
    WORKS(tidelog_close(&store, &error));
}

static void versions(void)
{
    uint32_t oldest = 99, newest = 0;
    tidelog_store *store = NULL;
    CHECK(tidelog_abi_range(&oldest, &newest) == TIDELOG_OK);
    CHECK(oldest <= TIDELOG_ABI_VERSION && TIDELOG_ABI_VERSION <= newest);
    GIVES(TIDELOG_VERSION_MISMATCH, tidelog_open(newest + 1, "versions", NULL, &store, &error));
    GIVES(TIDELOG_VERSION_MISMATCH, tidelog_open(oldest - 1, "versions", NULL, &store, &error));
    CHECK(strcmp(tidelog_version(), "0.1.0") == 0);
    CHECK(strcmp(tidelog_status_text(12345), "unknown status") == 0);
    for (int status = TIDELOG_PEER; status <= TIDELOG_STOPPED; status++)
        CHECK(strcmp(tidelog_status_text(status), "unknown status") != 0);
}

/* Errors that are too short, unset or NULL. */
static void errors(void)
{
    unsigned char memory[64];
    tidelog_error *small = (tidelog_error *)(void *)memory;
    uint32_t size;
    for (size = 1; size <= sizeof memory; size++) {
        memset(memory, 0x77, sizeof memory);
        memcpy(memory, &size, sizeof size);
        CHECK(tidelog_flush(NULL, small) == TIDELOG_INVALID_HANDLE);
        for (size_t i = size; i < sizeof memory; i++)
            CHECK(i < sizeof size || memory[i] == 0x77);
        if (size > 16)
            CHECK(memchr(memory + 16, 0, size - 16));
    }
    size = UINT32_MAX;
    memset(memory, 0x77, sizeof memory);
    memcpy(memory, &size, sizeof size);
    CHECK(tidelog_flush(NULL, small) == TIDELOG_INVALID_HANDLE && memory[8] == 0x77);
}

/* Columns that are not what they should be leave the batch as it was. */
static void columns(void)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0;
    size_t rows = 0;
    const int64_t times[3] = {1, 2, 3};
    const double values[3] = {1, 2, 3};
    const uint8_t bools[3] = {0, 1, 2};
    const uint32_t back[3] = {2, 1, 3};
    const uint32_t ends[3] = {1, 2, 3};
    tidelog_column pair[2];
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    WORKS(tidelog_batch_device(batch, "d", &device, &error));
    memset(pair, 0, sizeof pair);
    pair[0].name = "good";
    pair[0].kind = TIDELOG_F64;
    pair[0].values = values;
#define REFUSED(expected)                                                                       \
    GIVES(expected, tidelog_batch_append(batch, device, times, 3, pair, 2, sizeof *pair, &error)); \
    WORKS(tidelog_batch_rows(batch, &rows, &error));                                            \
    CHECK(rows == 0)
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* no name */
    pair[1].name = "bad";
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* no type */
    pair[1].kind = TIDELOG_I64;
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* no values */
    pair[1].values = (const char *)values + 1;
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* not aligned */
    pair[1].name = "flag";
    pair[1].kind = TIDELOG_BOOL;
    pair[1].values = bools;
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* 2 is no bool */
    pair[1].name = "text";
    pair[1].kind = TIDELOG_STRING;
    pair[1].values = "a\xff" "b";
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* no ends */
    pair[1].ends = ends;
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* no UTF-8 */
    pair[1].values = "abc";
    pair[1].ends = back;
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* ends go back */
    pair[1] = pair[0];
    REFUSED(TIDELOG_INVALID_ARGUMENT); /* twice */
    pair[1].kind = TIDELOG_F32;
    REFUSED(TIDELOG_TYPE_CONFLICT);
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append(batch, device + 1, times, 3, pair, 1, sizeof *pair, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append(batch, device, times, 3, pair, 1, 0, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append(batch, device, times, SIZE_MAX / 8, pair, 1, sizeof *pair, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_set_f64(batch, 0, 1.0, &error)); /* no row */
    WORKS(tidelog_batch_append(batch, device, times, 3, pair, 1, sizeof *pair, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_set_f64(batch, 99, 1.0, &error));
    GIVES(TIDELOG_TYPE_CONFLICT, tidelog_batch_set_i64(batch, 0, 1, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

int main(void)
{
    zeros();
    variables();
    handles();
    sizes();
    versions();
    errors();
    columns();
    return 0;
}
