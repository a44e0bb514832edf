/*
 * Reads a collection through the Arrow C stream interface, with nothing but its plain structs: what any Arrow library does
 * when it is handed the stream.
 *
 *     cc arrow_reader.c $(pkg-config --cflags --libs tidelog) -o arrow_reader && ./arrow_reader plant plant.readings
 */
#include <stdio.h>
#include <string.h>
#include <tidelog.h>

/* The sum and number of the values of a column of doubles. */
static void add(const struct ArrowArray *column, double *sum, long *count)
{
    const uint8_t *valid = column->buffers[0];
    const double *values = column->buffers[1];
    for (int64_t row = column->offset; row < column->offset + column->length; row++)
        if (!valid || (valid[row / 8] >> (row % 8) & 1)) {
            *sum += values[row];
            *count += 1;
        }
}

static int read_stream(struct ArrowArrayStream *stream)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    double sums[64] = {0};
    long counts[64] = {0}, rows = 0;
    if (stream->get_schema(stream, &schema) != 0)
        return -1;
    while (stream->get_next(stream, &batch) == 0 && batch.release) {
        rows += (long)batch.length;
        for (int64_t i = 0; i < schema.n_children && i < 64; i++)
            if (strcmp(schema.children[i]->format, "g") == 0)
                add(batch.children[i], &sums[i], &counts[i]);
        batch.release(&batch);
    }
    printf("%ld rows\n", rows);
    for (int64_t i = 0; i < schema.n_children && i < 64; i++)
        printf("  %-16s %-8s%s", schema.children[i]->name, schema.children[i]->format, counts[i] ? "" : "\n"),
            counts[i] ? printf(" mean %.3f\n", sums[i] / (double)counts[i]) : 0;
    schema.release(&schema);
    return stream->get_last_error(stream) ? -1 : 0;
}

int main(int count, char **arguments)
{
    tidelog_error error = {0};
    tidelog_open_options options = {0};
    tidelog_store *store = NULL;
    tidelog_result *result = NULL;
    struct ArrowArrayStream stream = {0};
    options.struct_size = sizeof options;
    options.flags = TIDELOG_OPEN_READ_ONLY;
    if (count < 3
        || tidelog_open(TIDELOG_ABI_VERSION, arguments[1], &options, &store, &error) < 0
        || tidelog_query(store, arguments[2], NULL, &result, &error) < 0
        || tidelog_result_to_arrow(&result, &stream, &error) < 0) {
        fprintf(stderr, "arrow_reader: %s\n", count < 3 ? "STORE DATABASE.COLLECTION are needed" : error.message);
        return 1;
    }
    /* The stream holds what it needs: the store may go. */
    tidelog_close(&store, NULL);
    int failed = read_stream(&stream);
    if (failed)
        fprintf(stderr, "arrow_reader: %s\n", stream.get_last_error(&stream));
    stream.release(&stream);
    return failed ? 1 : 0;
}
