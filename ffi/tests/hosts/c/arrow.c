/* Results as Arrow streams, and Arrow record batches as rows. */
#include "check.h"

static tidelog_error error;

static void fill(tidelog_store *store)
{
    tidelog_batch *batch = NULL;
    uint32_t device = 0, fields[7];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    for (uint32_t i = 0; i < 7; i++)
        WORKS(tidelog_batch_field(batch, names[i], i + 1, &fields[i], &error));
    for (int d = 0; d < 3; d++) {
        char name[32];
        snprintf(name, sizeof name, "pump_%d,line=%d", d, d % 2);
        WORKS(tidelog_batch_device(batch, name, &device, &error));
        for (int i = 0; i < 100; i++) {
            char text[32];
            int length = snprintf(text, sizeof text, "text %d", i);
            WORKS(tidelog_batch_row(batch, device, i * INT64_C(1000), &error));
            if (i % 3 == 0)
                continue;
            WORKS(tidelog_batch_set_f64(batch, fields[0], i / 3.0, &error));
            WORKS(tidelog_batch_set_f32(batch, fields[1], (float)i, &error));
            WORKS(tidelog_batch_set_i64(batch, fields[2], -i, &error));
            WORKS(tidelog_batch_set_u64(batch, fields[3], UINT64_MAX - (uint64_t)i, &error));
            WORKS(tidelog_batch_set_bool(batch, fields[4], i % 2, &error));
            WORKS(tidelog_batch_set_string(batch, fields[5], text, (size_t)length, &error));
            if (i % 5)
                WORKS(tidelog_batch_set_bytes(batch, fields[6], text, (size_t)length - 3, &error));
        }
    }
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

static void stream_of(tidelog_store *store, struct ArrowArrayStream *stream)
{
    tidelog_result *result = NULL;
    WORKS(tidelog_query(store, "plant.boiler", NULL, &result, &error));
    WORKS(tidelog_result_to_arrow(&result, stream, &error));
    CHECK(result == NULL && stream->release != NULL);
}

static void schema_is_right(const struct ArrowSchema *schema)
{
    static const char *const formats[] = {"i", "tsn:UTC", "g", "f", "l", "L", "b", "u", "z"};
    static const char *const names[] = {"device", "timestamp_ns", "a", "b", "c", "d", "e", "f", "g"};
    CHECK(strcmp(schema->format, "+s") == 0 && schema->n_children == 9);
    for (int i = 0; i < 9; i++) {
        CHECK(strcmp(schema->children[i]->format, formats[i]) == 0);
        CHECK(strcmp(schema->children[i]->name, names[i]) == 0);
        CHECK(schema->children[i]->flags == (i < 2 ? 0 : ARROW_FLAG_NULLABLE));
    }
    CHECK(strcmp(schema->children[0]->dictionary->format, "u") == 0);
}

static int set(const void *bits, int64_t at)
{
    return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1;
}

static void rows_are_right(const struct ArrowArray *array)
{
    const struct ArrowArray *text = array->children[7], *device = array->children[0];
    CHECK(array->n_buffers == 1 && array->n_children == 9 && array->null_count == 0);
    for (int64_t row = 0; row < array->length; row++) {
        int i = (int)(((const int64_t *)array->children[1]->buffers[1])[row] / 1000);
        int index = ((const int32_t *)device->buffers[1])[row];
        const int32_t *names = device->dictionary->buffers[1];
        CHECK(index < device->dictionary->length && names[index + 1] - names[index] == 13);
        CHECK(set(array->children[2]->buffers[0], row) == (i % 3 != 0));
        if (i % 3 == 0)
            continue;
        CHECK(((const double *)array->children[2]->buffers[1])[row] == i / 3.0);
        CHECK(((const float *)array->children[3]->buffers[1])[row] == (float)i);
        CHECK(((const int64_t *)array->children[4]->buffers[1])[row] == -i);
        CHECK(((const uint64_t *)array->children[5]->buffers[1])[row] == UINT64_MAX - (uint64_t)i);
        CHECK(set(array->children[6]->buffers[1], row) == i % 2);
        const int32_t *offsets = text->buffers[1];
        char expected[32];
        int length = snprintf(expected, sizeof expected, "text %d", i);
        CHECK(offsets[row + 1] - offsets[row] == length);
        CHECK(memcmp((const char *)text->buffers[2] + offsets[row], expected, (size_t)length) == 0);
    }
}

/* All rows of one store go into another through Arrow; their digests are equal. */
static void there_and_back(tidelog_store *store, tidelog_store *other)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray array;
    tidelog_batch *batch = NULL;
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    int64_t rows = 0;
    block.struct_size = sizeof block;
    stream_of(store, &stream);
    CHECK(stream.get_last_error(&stream) == NULL);
    CHECK(stream.get_schema(&stream, &schema) == 0);
    schema_is_right(&schema);
    WORKS(tidelog_batch_new("plant.boiler", &batch, &error));
    for (;;) {
        CHECK(stream.get_next(&stream, &array) == 0);
        if (!array.release)
            break;
        rows_are_right(&array);
        rows += array.length;
        WORKS(tidelog_batch_append_arrow(batch, &array, &schema, NULL, &error));
        CHECK(array.release == NULL);
    }
    CHECK(rows == 300);
    stream.release(&stream);
    CHECK(stream.release == NULL);
    schema.release(&schema);
    WORKS(tidelog_write(other, batch, NULL, NULL, &error));
    WORKS(tidelog_batch_close(&batch, &error));
    WORKS(tidelog_compare(store, other, "plant.boiler", 0, &result, &error));
    GIVES(TIDELOG_DONE, tidelog_result_next(result, &block, &error));
    WORKS(tidelog_result_close(&result, &error));
}

/* A column that was moved out of its batch outlives it, and the store. */
static void moved(tidelog_store **store)
{
    struct ArrowArrayStream stream;
    struct ArrowArray array, column;
    struct ArrowSchema schema, child;
    stream_of(*store, &stream);
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_next(&stream, &array) == 0);
    column = *array.children[2];
    array.children[2]->release = NULL;
    child = *schema.children[0];
    schema.children[0]->release = NULL;
    array.release(&array);
    schema.release(&schema);
    stream.release(&stream);
    WORKS(tidelog_close(store, &error));
    CHECK(strcmp(child.name, "device") == 0 && strcmp(child.dictionary->format, "u") == 0);
    CHECK(((const double *)column.buffers[1])[1] == 1 / 3.0);
    column.release(&column);
    child.release(&child);
}

static int released;

static void release_array(struct ArrowArray *array)
{
    released++;
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

/* A record batch of the host's own: sliced, of seconds, large texts, one device for all. */
static void own(tidelog_store *store)
{
    static const int64_t seconds[] = {-7, 1, 2, 3};
    static const int64_t ends[] = {0, 3, 3, 5, 5};
    static const uint8_t valid = 0x0d; /* the second of four is absent */
    const void *time_buffers[] = {NULL, seconds};
    const void *text_buffers[] = {&valid, ends, "abcde"};
    const void *no_buffers[] = {NULL};
    struct ArrowArray columns[2] = {
        {4, 0, 0, 2, 0, time_buffers, NULL, NULL, release_array, NULL},
        {4, 1, 0, 3, 0, text_buffers, NULL, NULL, release_array, NULL}};
    struct ArrowSchema types[2] = {
        {"tss:", "at", NULL, 0, 0, NULL, NULL, release_schema, NULL},
        {"U", "said", NULL, ARROW_FLAG_NULLABLE, 0, NULL, NULL, release_schema, NULL}};
    struct ArrowArray *children[2] = {&columns[0], &columns[1]};
    struct ArrowSchema *child_types[2] = {&types[0], &types[1]};
    struct ArrowArray array = {3, 0, 1, 1, 2, no_buffers, children, NULL, release_array, NULL}, copy;
    struct ArrowSchema schema = {"+s", "", NULL, 0, 2, child_types, NULL, release_schema, NULL};
    tidelog_arrow_options options = {sizeof options, 0, "pump_9", NULL, "at"};
    tidelog_batch *batch = NULL;
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    size_t rows = 0;
    block.struct_size = sizeof block;
    WORKS(tidelog_batch_new("plant.own", &batch, &error));

    /* Whatever is refused is released all the same, and leaves the batch as it was. */
    copy = array;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append_arrow(batch, &copy, &schema, NULL, &error));
    CHECK(strstr(error.message, "\"timestamp_ns\"") && released == 1 && !copy.release);
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append_arrow(batch, &copy, &schema, NULL, &error));
    copy = array;
    types[1].format = "n";
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append_arrow(batch, &copy, &schema, &options, &error));
    CHECK(strstr(error.message, "\"said\"") && released == 2);
    types[1].format = "U";
    copy = array;
    copy.length = 9;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_batch_append_arrow(batch, &copy, &schema, &options, &error));
    WORKS(tidelog_batch_rows(batch, &rows, &error));
    CHECK(rows == 0 && released == 3);

    copy = array;
    WORKS(tidelog_batch_append_arrow(batch, &copy, &schema, &options, &error));
    CHECK(released == 4);
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_query(store, "plant.own", NULL, &result, &error));
    WORKS(tidelog_result_next(result, &block, &error));
    CHECK(block.rows == 3 && block.times_ns[0] == 1000000000 && block.times_ns[2] == 3000000000);
    CHECK(block.columns[0].validity[0] == 6 && block.columns[0].ends[1] == 2);
    CHECK(memcmp(block.columns[0].values, "de", 2) == 0);
    WORKS(tidelog_result_close(&result, &error));
    WORKS(tidelog_batch_close(&batch, &error));
}

/* Two rows with the columns that are given first in the arrays; how adding them ends. */
static tidelog_status rows_of(tidelog_batch *batch, struct ArrowArray *columns, struct ArrowSchema *types, const void **whole, int64_t nulls)
{
    struct ArrowArray *children[3] = {&columns[0], &columns[1], &columns[2]};
    struct ArrowSchema *child_types[3] = {&types[0], &types[1], &types[2]};
    struct ArrowArray array = {2, nulls, 0, 1, 3, whole, children, NULL, release_array, NULL};
    struct ArrowSchema schema = {"+s", "", NULL, 0, 3, child_types, NULL, release_schema, NULL};
    tidelog_status status = tidelog_batch_append_arrow(batch, &array, &schema, NULL, &error);
    CHECK(array.release == NULL);
    return status;
}

/* Dictionaries and absences as others write them: what means nothing may be anything, what is no time or no device is refused. */
static void dictionaries_and_absences(void)
{
    static const int64_t times[] = {1, 2}, dates[] = {1000, 2000};
    static const int32_t both[] = {0, 1}, first[] = {0, 0}, name_ends[] = {0, 1, 2}, text_ends[] = {0, 2, 4};
    static const uint8_t first_only = 1, all = 3;
    const void *time_buffers[] = {NULL, times}, *date_buffers[] = {NULL, dates};
    const void *both_buffers[] = {NULL, both}, *first_buffers[] = {NULL, first};
    const void *name_buffers[] = {NULL, name_ends, "pq"}, *one_name_buffers[] = {&first_only, name_ends, "p\xff"};
    const void *text_buffers[] = {&first_only, text_ends, "ok\xff\xfe"};
    const void *no_nulls[] = {NULL}, *all_there[] = {&all}, *one_there[] = {&first_only};
    struct ArrowArray dates_of = {2, 0, 0, 2, 0, date_buffers, NULL, NULL, release_array, NULL};
    struct ArrowSchema date_type = {"tsn:", "", NULL, 0, 0, NULL, NULL, release_schema, NULL};
    struct ArrowArray names = {2, 0, 0, 3, 0, name_buffers, NULL, NULL, release_array, NULL};
    struct ArrowSchema name_type = {"u", "", NULL, 0, 0, NULL, NULL, release_schema, NULL};
    struct ArrowArray columns[3] = {
        {2, 0, 0, 2, 0, time_buffers, NULL, NULL, release_array, NULL},
        {2, 0, 0, 2, 0, both_buffers, NULL, &names, release_array, NULL},
        {2, 1, 0, 3, 0, text_buffers, NULL, NULL, release_array, NULL}};
    struct ArrowSchema types[3] = {
        {"tsn:UTC", "timestamp_ns", NULL, 0, 0, NULL, NULL, release_schema, NULL},
        {"i", "device", NULL, 0, 0, NULL, &name_type, release_schema, NULL},
        {"u", "said", NULL, ARROW_FLAG_NULLABLE, 0, NULL, NULL, release_schema, NULL}};
    tidelog_batch *batch = NULL;
    size_t rows = 0;
    WORKS(tidelog_batch_new("plant.other", &batch, &error));

    /* The bytes of a text that is absent are no UTF-8. */
    WORKS(rows_of(batch, columns, types, no_nulls, 0));
    /* Nobody has counted the rows that are null as a whole: none is, or one. */
    WORKS(rows_of(batch, columns, types, all_there, -1));
    GIVES(TIDELOG_INVALID_ARGUMENT, rows_of(batch, columns, types, one_there, -1));
    CHECK(strstr(error.message, "null as a whole"));

    /* A name that is absent is nobody's device, and does no harm while no row has it. */
    names.buffers = one_name_buffers;
    names.null_count = 1;
    GIVES(TIDELOG_INVALID_ARGUMENT, rows_of(batch, columns, types, no_nulls, 0));
    CHECK(strstr(error.message, "\"device\" has rows without a device"));
    columns[1].buffers = first_buffers;
    WORKS(rows_of(batch, columns, types, no_nulls, 0));
    WORKS(tidelog_batch_rows(batch, &rows, &error));
    CHECK(rows == 6);

    /* Indexes are no times. */
    types[0].format = "l";
    types[0].dictionary = &date_type;
    columns[0].dictionary = &dates_of;
    GIVES(TIDELOG_INVALID_ARGUMENT, rows_of(batch, columns, types, no_nulls, 0));
    CHECK(strstr(error.message, "\"timestamp_ns\"") && strstr(error.message, "dictionary"));
    WORKS(tidelog_batch_close(&batch, &error));
}

int main(void)
{
    tidelog_store *store = NULL, *other = NULL;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "other", NULL, &other, &error));
    fill(store);
    there_and_back(store, other);
    WORKS(tidelog_flush(store, &error));
    moved(&store);
    own(other);
    dictionaries_and_absences();
    WORKS(tidelog_close(&other, &error));
    return 0;
}
