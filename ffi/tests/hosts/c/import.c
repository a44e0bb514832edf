/* Imports a CSV file through the C ABI alone, by the rules of `tidelog import`: "device" and "timestamp_ns" stand first, types come from
 * all texts of a column, an empty field is absent unless it is quoted. Prints the content root. */
#include "check.h"
#include <errno.h>
#include <inttypes.h>

#define COLUMNS_MAX 64
#define BATCH_ROWS 5000

static tidelog_error error;

struct column {
    uint32_t field;
    int integer, real, boolean, seen;
};

static char *whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    char *text = malloc((size_t)size + 1);
    CHECK(text && fseek(file, 0, SEEK_SET) == 0 && fread(text, 1, (size_t)size, file) == (size_t)size);
    text[size] = 0;
    fclose(file);
    return text;
}

/* Cuts a line into cells, where they stand; NULL is absent. The rest of the text. */
static char *cells_of(char *at, char **cells, size_t *count)
{
    for (*count = 0;;) {
        char *cell = at, *to = at, end;
        int quoted = *at == '"';
        CHECK(*count < COLUMNS_MAX);
        if (quoted) {
            for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
                at += *at == '"';
                *to++ = *at;
            }
            at++;
        } else {
            while (*at && *at != ',' && *at != '\n')
                at++;
            to = at;
        }
        end = *at;
        at += end != 0;
        *to = 0;
        cells[(*count)++] = *cell || quoted ? cell : NULL;
        if (end != ',')
            return at;
    }
}

/* Is it an integer as integers are written, in int64_t? */
static int is_integer(const char *text)
{
    const char *digits = text + (*text == '-');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits) || (digits[0] == '0' && (digits[1] || digits > text)))
        return 0;
    errno = 0;
    strtoll(text, NULL, 10);
    return errno == 0;
}

/* A number that is no hexadecimal, and no code such as 007. */
static int is_real(const char *text)
{
    const char *digits = text + (*text == '-');
    char *end = NULL;
    if (strspn(text, "+-.eE0123456789") != strlen(text) || *text == '+' || (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'))
        return 0;
    strtod(text, &end);
    return end != text && !*end;
}

static void learn(struct column *column, const char *text)
{
    if (!column->seen++)
        column->integer = column->real = column->boolean = 1;
    column->integer &= is_integer(text);
    column->real &= is_real(text);
    column->boolean &= strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static uint32_t kind_of(const struct column *column)
{
    return column->boolean ? TIDELOG_BOOL : column->integer ? TIDELOG_I64 : column->real ? TIDELOG_F64 : TIDELOG_STRING;
}

static void set(tidelog_batch *batch, const struct column *column, const char *text)
{
    switch (kind_of(column)) {
    case TIDELOG_BOOL: WORKS(tidelog_batch_set_bool(batch, column->field, *text == 't', &error)); break;
    case TIDELOG_I64: WORKS(tidelog_batch_set_i64(batch, column->field, strtoll(text, NULL, 10), &error)); break;
    case TIDELOG_F64: WORKS(tidelog_batch_set_f64(batch, column->field, strtod(text, NULL), &error)); break;
    default: WORKS(tidelog_batch_set_string(batch, column->field, text, strlen(text), &error));
    }
}

static void print_root(tidelog_store *store, const char *collection)
{
    tidelog_result *result = NULL;
    tidelog_block block = {0};
    block.struct_size = sizeof block;
    WORKS(tidelog_digests(store, collection, TIDELOG_LEVEL_ROOT, NULL, NULL, &result, &error));
    WORKS(tidelog_result_next(result, &block, &error));
    for (size_t i = 0; i < block.column_count; i++)
        if (strcmp(block.columns[i].name, "digest") == 0)
            for (uint32_t at = 0; at < block.columns[i].ends[0]; at++)
                printf("%02x", ((const unsigned char *)block.columns[i].values)[at]);
    printf("\n");
    WORKS(tidelog_result_close(&result, &error));
}

int main(int argc, char **argv)
{
    static struct column columns[COLUMNS_MAX];
    char *cells[COLUMNS_MAX], *header, *text;
    size_t count = 0, found = 0, rows = 0;
    uint32_t device = 0;
    tidelog_store *store = NULL;
    tidelog_batch *batch = NULL;
    CHECK(argc == 4);
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, argv[1], NULL, &store, &error));
    WORKS(tidelog_batch_new(argv[2], &batch, &error));
    header = whole(argv[3]);
    for (char *at = cells_of(header, cells, &count); *at;) {
        at = cells_of(at, cells, &found);
        for (size_t i = 2; i < found; i++)
            if (cells[i])
                learn(&columns[i], cells[i]);
    }
    free(header);
    header = whole(argv[3]);
    text = cells_of(header, cells, &count);
    CHECK(count > 2 && strcmp(cells[0], "device") == 0 && strcmp(cells[1], "timestamp_ns") == 0);
    for (size_t i = 2; i < count; i++)
        if (columns[i].seen)
            WORKS(tidelog_batch_field(batch, cells[i], kind_of(&columns[i]), &columns[i].field, &error));
    while (*text) {
        text = cells_of(text, cells, &found);
        CHECK(found == count);
        WORKS(tidelog_batch_device(batch, cells[0], &device, &error));
        WORKS(tidelog_batch_row(batch, device, strtoll(cells[1], NULL, 10), &error));
        for (size_t i = 2; i < count; i++)
            if (cells[i])
                set(batch, &columns[i], cells[i]);
        if (++rows % BATCH_ROWS == 0 || !*text) {
            WORKS(tidelog_write(store, batch, NULL, NULL, &error));
            WORKS(tidelog_batch_clear(batch, &error));
        }
    }
    free(header);
    WORKS(tidelog_batch_close(&batch, &error));
    WORKS(tidelog_flush(store, &error));
    print_root(store, argv[2]);
    WORKS(tidelog_close(&store, &error));
    return 0;
}
