/*
 * tidelog.h: the C interface of Tidelog, an embedded time-series engine.
 *
 * A store is a directory. Rows of devices go in as batches and are durable when a write returns; queries come back as
 * columns, or as Arrow streams. Nothing here needs a server, a configuration or a main loop.
 *
 *     tidelog_error error = {0};
 *     tidelog_store *store = NULL;
 *     if (tidelog_open(TIDELOG_ABI_VERSION, "plant", NULL, &store, &error) != TIDELOG_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *
 * Link with libtidelog: `pkg-config --cflags --libs tidelog`, or CMake's find_package(Tidelog CONFIG).
 *
 * What holds for all of it:
 *
 *  - Outcomes. Functions return 0 (TIDELOG_OK), a positive number for what is no error (TIDELOG_DONE at the end of a result), or a
 *    negative one. The last argument is a tidelog_error, or NULL; its message says what, where, and what to do.
 *  - Handles (tidelog_store *, tidelog_batch *, ...) are numbers and lead nowhere. One that is NULL, closed, or of another kind is
 *    found out: TIDELOG_INVALID_HANDLE. Closing takes the address of your variable and sets it to NULL.
 *  - Who is made from a handle keeps what it needs of it alive: a store may be closed before its results are read.
 *  - Structs of options begin with struct_size: `= {0}`, then struct_size = sizeof, then what you want. Zero means the default,
 *    everywhere; NULL for the whole struct, too. Structs that the library fills begin with it as well, and are filled as far as it
 *    says. A program that was compiled with an older header goes on to work; one with a newer header is told
 *    (TIDELOG_UNKNOWN_OPTION) when it asks for something the library does not know.
 *  - Memory that the library gives is freed by the library, with the handle it belongs to. Memory you pass in is read during the
 *    call, and not kept.
 *  - Text is UTF-8. Names end with a NUL; values have a length. Times are nanoseconds since 1970 in UTC, any int64_t; ranges
 *    include their beginning and not their end.
 *  - Threads. Any function may be called from any thread at any time; what is said of a function is how it waits. Blocking functions
 *    block the thread that calls them.
 *  - No panic leaves the library (TIDELOG_PANIC instead), it installs no signal handler, calls no exit and no abort, and writes to
 *    stdout and stderr nothing but the text of a panic. Its threads have names that begin with "tidelog".
 *  - Fork before the first handle is made, or exec after it: all calls in a forked child return TIDELOG_FORKED. They write no
 *    variable but the error, take no handle, table or Arrow array, and call no drop; only tidelog_log_set and
 *    tidelog_node_on_event call theirs.
 *
 * This file is made from the library's source; the parts in it are in the order of their use.
 */

#ifndef TIDELOG_H
#define TIDELOG_H

#include <stddef.h>
#include <stdint.h>

/* ----------------------------------------------------------------------------
 * Arrow: the C data and C stream interfaces, as their specification gives them
 * ---------------------------------------------------------------------------- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif /* ARROW_C_STREAM_INTERFACE */

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------
 * Library: outcomes, errors, versions
 * ---------------------------------------------------------------------------- */

/** Done. */
#define TIDELOG_OK 0
/** There is no more: the end of a result. */
#define TIDELOG_DONE 1
/** There is nothing yet: the time to wait is over. */
#define TIDELOG_NOTHING 2
/** A callback said stop. What was done until then is done. */
#define TIDELOG_STOPPED 3
/** An argument cannot be: NULL where it may not be, text that is no UTF-8, a size or number out of range. */
#define TIDELOG_INVALID_ARGUMENT (-1)
/** A handle is NULL, closed, or of another kind. */
#define TIDELOG_INVALID_HANDLE (-2)
/** A struct carries something that this library does not know: it is older than the header. See `tidelog_abi_range`. */
#define TIDELOG_UNKNOWN_OPTION (-3)
/** It was not built into this library. See `tidelog_features`. */
#define TIDELOG_UNSUPPORTED (-4)
/** The library failed inside, and was stopped at its edge. A bug of Tidelog. */
#define TIDELOG_PANIC (-5)
/** The process was forked from one that uses the library. */
#define TIDELOG_FORKED (-6)
/** Header and library do not go together. */
#define TIDELOG_VERSION_MISMATCH (-7)
/** Somebody else has it: a store that is open for writing, a log hook. */
#define TIDELOG_LOCKED (-8)
/** There is no such store, collection or field. */
#define TIDELOG_NOT_FOUND (-9)
/** The store is open for reading only. */
#define TIDELOG_READ_ONLY (-10)
/** The store was closed, or the node stopped. */
#define TIDELOG_CLOSED (-11)
/** A field has another type. */
#define TIDELOG_TYPE_CONFLICT (-12)
/** The rows are older than what retention keeps. */
#define TIDELOG_SETTLED (-13)
/** A limit would be passed: bytes of a batch, fields of a collection, range of a number. */
#define TIDELOG_LIMIT (-14)
/** The disk refused. */
#define TIDELOG_IO (-15)
/** Memory is full and cannot be flushed. */
#define TIDELOG_FULL (-16)
/** An fsync failed: nothing more is acknowledged until the store is opened again. */
#define TIDELOG_POISONED (-17)
/** Data is damaged. */
#define TIDELOG_CORRUPT (-18)
/** The files are of a later version of Tidelog. */
#define TIDELOG_TOO_NEW (-19)
/** Cancelled. */
#define TIDELOG_CANCELLED (-20)
/** Retention has left only rollups there, and they do not answer the question. */
#define TIDELOG_RESOLUTION_GONE (-21)
/** The log does not reach back so far. */
#define TIDELOG_GONE (-22)
/** A network address or connection does not work. */
#define TIDELOG_NETWORK (-23)
/** A peer refused, or does not answer. */
#define TIDELOG_PEER (-24)

/** Nothing to be done: there is no error. */
#define TIDELOG_KIND_NONE 0
/** Try again later: space, descriptors or a lock were short. */
#define TIDELOG_KIND_RETRY 1
/** Change the call: it asks for something that cannot be. */
#define TIDELOG_KIND_FIX_CALL 2
/** Close the store and open it again. */
#define TIDELOG_KIND_REOPEN 3
/** Data is damaged: restore it. */
#define TIDELOG_KIND_RESTORE 4
/** Upgrade Tidelog. */
#define TIDELOG_KIND_UPGRADE 5
/** Report a bug of Tidelog. */
#define TIDELOG_KIND_BUG 6

/** The version of the ABI that this header describes. Hand it to `tidelog_open`. */
#define TIDELOG_ABI_VERSION 1

/** Nodes and replication are built in. */
#define TIDELOG_FEATURE_REPLICATION 1

/**
 * What a call came to: `TIDELOG_OK`, another outcome (positive), or an error (negative). Codes are never given a new
 * meaning; later versions may add some, so treat any negative code as an error.
 */
typedef int32_t tidelog_status;

/**
 * What went wrong. The last argument of every function that can fail; NULL when nobody wants to know more than the
 * status. Begin with `tidelog_error error = {0};`. Each call fills it anew; after success `code` is 0 and `message` empty.
 */
typedef struct tidelog_error {
    /** `sizeof(tidelog_error)`, or 0, which means the size it has in version 0.1. */
    uint32_t struct_size;
    /** The status that the call returned, when it is an error. */
    tidelog_status code;
    /** What a program can do: one of `TIDELOG_KIND_*`. */
    uint32_t kind;
    /** Length of the message in bytes, without its NUL, before it was cut to fit. */
    uint32_t message_length;
    /** What, where, and what to do: UTF-8, for people, always with a NUL at its end. */
    char message[496];
} tidelog_error;

/**
 * The version of the library, as "0.1.0".
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: the text is static.
 */
const char *tidelog_version(void);

/**
 * The versions of the ABI that this library serves: a program whose `TIDELOG_ABI_VERSION` is in the range, both ends
 * included, works with it. Either pointer may be NULL.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_abi_range(uint32_t *oldest,
                                 uint32_t *newest);

/**
 * What is built in: a sum of `TIDELOG_FEATURE_*`. Functions of what is not are there all the same, and return
 * `TIDELOG_UNSUPPORTED`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
uint64_t tidelog_features(void);

/**
 * A status in a few words, "the disk refused"; for one that this library does not know, "unknown status".
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: the text is static.
 */
const char *tidelog_status_text(tidelog_status status);

/* ----------------------------------------------------------------------------
 * Stores: opening and closing
 * ---------------------------------------------------------------------------- */

/** Open for reading only, beside a writer if there is one: the newest state at the time of opening. */
#define TIDELOG_OPEN_READ_ONLY 1
/** Do not create a store where there is none. */
#define TIDELOG_OPEN_EXISTING 2
/** Refuse to open when recovery finds damage, instead of going on without what is damaged. */
#define TIDELOG_OPEN_STRICT 4
/** Read files with plain reads and not through memory maps: for network file systems, or where others write. */
#define TIDELOG_OPEN_PLAIN_READS 8
/** Make rollups and digests on demand only. */
#define TIDELOG_OPEN_NO_PYRAMID 16
/** Give up the oldest data beyond `max_bytes`, though no other store holds it: a flight recorder. */
#define TIDELOG_OPEN_RING 32
/** No threads: writers flush when memory is full, tickets sync when they are waited for, `tidelog_compact` compacts. */
#define TIDELOG_OPEN_NO_THREADS 64

/** An open store: one directory, one writer, any number of read-only openers beside it. */
typedef struct tidelog_store tidelog_store;

/** How a store is opened. Zero means the default, everywhere. */
typedef struct tidelog_open_options {
    /** `sizeof(tidelog_open_options)`. */
    uint32_t struct_size;
    /** A sum of `TIDELOG_OPEN_*`. */
    uint32_t flags;
    /**
     * Bytes that rows in memory may take: 128 MiB, at least 1 MiB. A process that only writes peaks at a quarter more and
     * 64 MiB.
     */
    uint64_t memory_budget;
    /** Bytes that parsed indexes of files may take: 64 MiB. */
    uint64_t cache_budget;
    /** The log is cut into segments of about so many bytes: 16 MiB, at least 64 KiB. */
    uint64_t segment_bytes;
    /** Bytes that files may take: any number. Needs `TIDELOG_OPEN_RING` while this store is the only holder of its data. */
    uint64_t max_bytes;
    /** How far the stamps of a peer's writes may be ahead of the clock here, in nanoseconds: 10 s. */
    uint64_t clock_ahead_max_ns;
    /**
     * Over how many groups devices are spread, 1 to 4,096: 8. Fixed when a store is created; another number is refused
     * afterwards.
     */
    uint32_t groups;
    /** Zero. */
    uint32_t reserved;
} tidelog_open_options;

/** What opening found, and what was opened. */
typedef struct tidelog_store_info {
    /** `sizeof(tidelog_store_info)`, set by the caller. */
    uint32_t struct_size;
    /** Over how many groups devices are spread. */
    uint32_t groups;
    /** The store's id: the origin of the stamps it draws. */
    uint8_t store_id[16];
    /** This opening; positions of the log belong to one. Zero when open for reading only. */
    uint8_t incarnation[16];
    /** Writes and deletes read back from the log. */
    uint64_t log_records;
    /** Their bytes. */
    uint64_t log_bytes;
    /** Bytes of an unfinished append that were cut off the log: nobody was told they are durable. */
    uint64_t torn_bytes;
    /** How many files are damaged. `tidelog_check` tells which. */
    uint64_t damaged;
    /** Milliseconds that the latest stamp is ahead of the wall clock: the clock went back. */
    uint64_t clock_behind_ms;
    /** Files left over from unfinished work that were removed. */
    uint64_t swept;
} tidelog_store_info;

/**
 * Opens the store in the directory `path` (UTF-8), and creates it when there is none. `abi_version` is
 * `TIDELOG_ABI_VERSION`, as the program's header has it; a library that does not serve it refuses with
 * `TIDELOG_VERSION_MISMATCH`. `options` may be NULL.
 *
 * A store has two threads of its own, for flushing and syncing, unless it is opened with `TIDELOG_OPEN_NO_THREADS`. It
 * handles no signals. A process that forks does so before its first store is opened: calls in a child return
 * `TIDELOG_FORKED`.
 *
 * Errors: `TIDELOG_LOCKED` when it is open for writing elsewhere, `TIDELOG_NOT_FOUND`, `TIDELOG_CORRUPT` with
 * `TIDELOG_OPEN_STRICT`, `TIDELOG_TOO_NEW`, `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk, while the log is read back (some 100 ms for 64 MiB). Since: 0.1.
 * Owns: `*store` is the caller's, to be ended by `tidelog_close`; it is NULL after an error.
 */
tidelog_status tidelog_open(uint32_t abi_version,
                            const char *path,
                            const tidelog_open_options *options,
                            tidelog_store **store,
                            tidelog_error *error);

/**
 * Makes everything durable, closes the store and gives up its lock; `*store` is NULL afterwards, whatever is returned. NULL,
 * or a pointer to NULL, is no error.
 *
 * What was made from the store keeps what it needs of it alive: results and tickets can still be read, waited for and
 * closed. Tails end, and calls that write get `TIDELOG_CLOSED`; stop nodes before.
 *
 * Errors: `TIDELOG_POISONED` or `TIDELOG_IO` when the last fsync failed: what was acknowledged as durable is so all the same.
 *
 * Threads: any, also while others are in calls with the store: those end well or with `TIDELOG_CLOSED`. Blocks: disk.
 * Since: 0.1. Owns: takes `*store`.
 */
tidelog_status tidelog_close(tidelog_store **store,
                             tidelog_error *error);

/**
 * Who the store is, and what opening it found.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `*info` is filled, its `struct_size` says how far.
 */
tidelog_status tidelog_store_describe(const tidelog_store *store,
                                      tidelog_store_info *info,
                                      tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Batches: rows on their way in
 * ---------------------------------------------------------------------------- */

/** IEEE 754 binary64: `double`. */
#define TIDELOG_F64 1
/** IEEE 754 binary32: `float`. */
#define TIDELOG_F32 2
/** `int64_t`. */
#define TIDELOG_I64 3
/** `uint64_t`. */
#define TIDELOG_U64 4
/** `uint8_t`, 0 or 1. */
#define TIDELOG_BOOL 5
/** UTF-8 text of any length, NULs allowed. */
#define TIDELOG_STRING 6
/** Bytes of any length. */
#define TIDELOG_BYTES 7

/** Rows of one collection, to be written together: visible whole or not at all. */
typedef struct tidelog_batch tidelog_batch;

/** Values of one field, one for each row. The same struct brings values in and out. */
typedef struct tidelog_column {
    /** The field's name, with a NUL at its end. */
    const char *name;
    /**
     * The values by type: `double[rows]`, `float[rows]`, `int64_t[rows]`, `uint64_t[rows]`, `uint8_t[rows]` of 0 and 1; of
     * strings and bytes all of them, end to end.
     */
    const void *values;
    /** Of strings and bytes: where each ends in `values`; each begins where the one before ends, the first at 0. Else NULL. */
    const uint32_t *ends;
    /**
     * A bit for each row, the lowest of each byte first, set where there is a value (as Arrow has it); NULL when all rows
     * have one. What stands in `values` where there is none means nothing.
     */
    const uint8_t *validity;
    /** `TIDELOG_F64` and so on. */
    uint32_t kind;
    /** Zero. */
    uint32_t reserved;
} tidelog_column;

/** How an Arrow record batch is read. */
typedef struct tidelog_arrow_options {
    /** `sizeof(tidelog_arrow_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** The device that all rows are of; NULL: `device_column` says it, row by row. */
    const char *device;
    /** The column of devices, utf8, also dictionary-encoded. NULL: "device". */
    const char *device_column;
    /** The column of times: a timestamp in any unit, or int64 nanoseconds. NULL: "timestamp_ns". */
    const char *time_column;
} tidelog_arrow_options;

/**
 * Begins a batch for the collection `database.collection`. A batch can be filled, written, cleared and filled again, which
 * keeps its devices, fields and memory. It holds at most 64 MiB.
 *
 * Threads: any; calls with one batch wait for each other. Blocks: no. Since: 0.1.
 * Owns: `*batch` is the caller's, to be ended by `tidelog_batch_close`; it is NULL after an error.
 */
tidelog_status tidelog_batch_new(const char *collection,
                                 tidelog_batch **batch,
                                 tidelog_error *error);

/**
 * Ends a batch; rows that were not written are gone. `*batch` is NULL afterwards; NULL is no error.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: takes `*batch`.
 */
tidelog_status tidelog_batch_close(tidelog_batch **batch, tidelog_error *error);

/**
 * Removes the rows; devices, fields, their numbers and memory stay.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_clear(tidelog_batch *batch, tidelog_error *error);

/**
 * How many rows there are.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_rows(const tidelog_batch *batch,
                                  size_t *rows,
                                  tidelog_error *error);

/**
 * The number of a device in this batch, for as long as the batch lives. `device` is a name, or `name,label=value,...`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `device` is read during the call only.
 */
tidelog_status tidelog_batch_device(tidelog_batch *batch,
                                    const char *device,
                                    uint32_t *number,
                                    tidelog_error *error);

/**
 * The number of a field in this batch, for as long as the batch lives; a name that is new is added with its type.
 *
 * Errors: `TIDELOG_TYPE_CONFLICT` when the batch has the field with another type.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `name` is read during the call only.
 */
tidelog_status tidelog_batch_field(tidelog_batch *batch,
                                   const char *name,
                                   uint32_t kind,
                                   uint32_t *number,
                                   tidelog_error *error);

/**
 * Begins a row of a device at a time (nanoseconds since 1970, UTC; any `int64_t`). Set its fields next; those that are not
 * set stay absent. A row without values is a row all the same.
 *
 * Errors: `TIDELOG_LIMIT` when the batch is full: write it and clear it.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_row(tidelog_batch *batch,
                                 uint32_t device,
                                 int64_t time_ns,
                                 tidelog_error *error);

/**
 * Sets a field of the row that was begun last, by the number from `tidelog_batch_field`. The later of two values stays.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_set_f64(tidelog_batch *batch,
                                     uint32_t field,
                                     double value,
                                     tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_F32`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_set_f32(tidelog_batch *batch,
                                     uint32_t field,
                                     float value,
                                     tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_I64`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_set_i64(tidelog_batch *batch,
                                     uint32_t field,
                                     int64_t value,
                                     tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_U64`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_set_u64(tidelog_batch *batch,
                                     uint32_t field,
                                     uint64_t value,
                                     tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_BOOL`; any value but 0 is true.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_batch_set_bool(tidelog_batch *batch,
                                      uint32_t field,
                                      int32_t value,
                                      tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_STRING`: `length` bytes of UTF-8, no NUL needed.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `text` is read during the call only.
 */
tidelog_status tidelog_batch_set_string(tidelog_batch *batch,
                                        uint32_t field,
                                        const char *text,
                                        size_t length,
                                        tidelog_error *error);

/**
 * As `tidelog_batch_set_f64`, for a field of `TIDELOG_BYTES`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `bytes` are read during the call only.
 */
tidelog_status tidelog_batch_set_bytes(tidelog_batch *batch,
                                       uint32_t field,
                                       const void *bytes,
                                       size_t length,
                                       tidelog_error *error);

/**
 * Adds `rows` rows of one device: their times, and columns of `rows` values each. Values are copied once, into the batch.
 * `column_stride` is `sizeof(tidelog_column)`. After an error the batch has the rows it had before.
 *
 * Errors: `TIDELOG_TYPE_CONFLICT`, `TIDELOG_LIMIT` when the batch is full, `TIDELOG_INVALID_ARGUMENT` for a text that is no
 * UTF-8, a bool that is neither 0 nor 1, `ends` that go back, or a field that stands twice.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; all pointers are read during the call only.
 */
tidelog_status tidelog_batch_append(tidelog_batch *batch,
                                    uint32_t device,
                                    const int64_t *times_ns,
                                    size_t rows,
                                    const tidelog_column *columns,
                                    size_t column_count,
                                    size_t column_stride,
                                    tidelog_error *error);

/**
 * Adds the rows of an Arrow record batch: a struct array, its columns being devices, times and fields, in any order. Types are
 * taken as they are: float64, float32, int64, uint64, bool, utf8 or large utf8, binary or large binary. Values without
 * nulls are copied once, into the batch. After an error the batch has the rows it had before.
 *
 * Errors: `TIDELOG_INVALID_ARGUMENT` names the column that is missing or of a type that there is none for here.
 *
 * Threads: any. Blocks: no. Since: 0.1.
 * Owns: takes `*array`, which is released whatever is returned; `*schema` stays the caller's. `options` may be NULL.
 */
tidelog_status tidelog_batch_append_arrow(tidelog_batch *batch,
                                          struct ArrowArray *array,
                                          const struct ArrowSchema *schema,
                                          const tidelog_arrow_options *options,
                                          tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Writing: batches become durable
 * ---------------------------------------------------------------------------- */

/** As `TIDELOG_SYNC`. */
#define TIDELOG_DURABILITY_DEFAULT 0
/** Acknowledged after an fsync that covers it: survives power loss. Concurrent writers share one fsync. */
#define TIDELOG_SYNC 1

/**
 * Acknowledged when the system has it; an fsync follows within `interval_ns`. Survives the end of the process; power loss
 * may take the writes of the last interval.
 */
#define TIDELOG_INTERVAL 2

/**
 * Acknowledged when the system has it. Survives the end of the process; power loss may take what the system had not
 * written yet, typically the last 30 seconds.
 */
#define TIDELOG_OS 3

/** A write that is on its way. */
typedef struct tidelog_ticket tidelog_ticket;

/** When a write counts as done. */
typedef struct tidelog_write_options {
    /** `sizeof(tidelog_write_options)`. */
    uint32_t struct_size;
    /** `TIDELOG_SYNC`, `TIDELOG_INTERVAL` or `TIDELOG_OS`; zero means `TIDELOG_SYNC`. */
    uint32_t durability;
    /** For `TIDELOG_INTERVAL`: 1 s unless set. */
    uint64_t interval_ns;
} tidelog_write_options;

/** A place in a store's log. It names the same bytes for ever: every opening begins a new incarnation. */
typedef struct tidelog_position {
    /** The opening of the store. */
    uint8_t incarnation[16];
    /** The place in its log. */
    uint64_t offset;
} tidelog_position;

/** A write that was acknowledged. */
typedef struct tidelog_receipt {
    /** `sizeof(tidelog_receipt)`, set by the caller. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Rows written, after rows of one device and time in the batch were merged. */
    uint64_t rows;
    /** When it happened: 48 bits of milliseconds since 1970, then a counter of 16 bits. Greater means later. */
    uint64_t stamp;
    /** Where it stands in the log. */
    tidelog_position position;
} tidelog_receipt;

/**
 * Writes the rows of a batch and waits until they are acknowledged. Atomic: visible whole or not at all. The batch keeps its
 * rows; clear it to fill it again. `options` and `receipt` may be NULL.
 *
 * Errors: `TIDELOG_TYPE_CONFLICT`, `TIDELOG_SETTLED`, `TIDELOG_LIMIT`, `TIDELOG_READ_ONLY`, `TIDELOG_IO` and `TIDELOG_FULL`, after
 * which nothing of the batch is there; `TIDELOG_POISONED`, after which that is unknown until the store is opened again.
 *
 * Threads: any; writers on several threads share fsyncs. Blocks: disk, for the fsync that is asked for and while memory is
 * full. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_write(tidelog_store *store,
                             const tidelog_batch *batch,
                             const tidelog_write_options *options,
                             tidelog_receipt *receipt,
                             tidelog_error *error);

/**
 * Writes the rows of a batch without waiting for their fsync; `tidelog_ticket_wait` tells when they are acknowledged. One
 * thread can have many writes on their way, which share fsyncs. The batch can be cleared and filled again at once.
 *
 * Errors: as `tidelog_write`; what the fsync says is told by the ticket.
 *
 * Threads: any. Blocks: disk, while memory is full. Since: 0.1.
 * Owns: `*ticket` is the caller's, to be ended by `tidelog_ticket_close`; it is NULL after an error.
 */
tidelog_status tidelog_submit(tidelog_store *store,
                              const tidelog_batch *batch,
                              const tidelog_write_options *options,
                              tidelog_ticket **ticket,
                              tidelog_error *error);

/**
 * Waits until the write is durable as asked, and visible. Every call says the same. `receipt` may be NULL.
 *
 * Errors: `TIDELOG_POISONED` when an fsync failed: whether the rows survive is unknown.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing; the ticket is still to be closed.
 */
tidelog_status tidelog_ticket_wait(tidelog_ticket *ticket,
                                   tidelog_receipt *receipt,
                                   tidelog_error *error);

/**
 * Would `tidelog_ticket_wait` return at once? `TIDELOG_OK` when so, `TIDELOG_NOTHING` when not.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_ticket_poll(const tidelog_ticket *ticket, tidelog_error *error);

/**
 * Ends a ticket. The write still happens, only nobody is told. `*ticket` is NULL afterwards; NULL is no error.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: takes `*ticket`.
 */
tidelog_status tidelog_ticket_close(tidelog_ticket **ticket,
                                    tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Results: rows on their way out
 * ---------------------------------------------------------------------------- */

/** Rows that a function answered with. */
typedef struct tidelog_result tidelog_result;

/** Text without a NUL at its end. */
typedef struct tidelog_text {
    /** UTF-8. */
    const char *data;
    /** Its length in bytes. */
    size_t length;
} tidelog_text;

/**
 * Some rows of a result, in columns. All pointers are the library's, and good until the next call of
 * `tidelog_result_next` with this result, or its end.
 */
typedef struct tidelog_block {
    /** `sizeof(tidelog_block)`, set by the caller. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** How many rows there are; at least one. */
    size_t rows;
    /** The time of each row, or the start of its window; NULL when rows of this result have no times. */
    const int64_t *times_ns;
    /** The device of each row, as a place in `devices`; NULL when rows of this result are of no device. */
    const uint32_t *row_devices;
    /** The devices of this block, as people write them. */
    const tidelog_text *devices;
    /** How many there are. */
    size_t device_count;
    /** The columns. */
    const tidelog_column *columns;
    /** How many there are. */
    size_t column_count;
    /** Bytes from one column to the next. */
    size_t column_stride;
} tidelog_block;

/** What an answer was made of, as far as it was drawn. */
typedef struct tidelog_explain {
    /** `sizeof(tidelog_explain)`, set by the caller. */
    uint32_t struct_size;
    /** 1 when the range that was asked for reaches further back than rows are kept: then `rows_from_ns` says since when. */
    uint32_t has_rows_from;
    /** Rows that were read, before the filter. */
    uint64_t rows;
    /** Stored rollups of leaf windows. */
    uint64_t leaves;
    /** Stored rollups of UTC days. */
    uint64_t days;
    /** Stored rollups of UTC months. */
    uint64_t months;
    /** Stored rollups of UTC years. */
    uint64_t years;
    /** Of these rollups, those taken for the nearest window because no exact answer is left. */
    uint64_t nearest;
    /** The first nanosecond rows are kept from. */
    int64_t rows_from_ns;
} tidelog_explain;

/**
 * The columns that every block of a result will have: names and types, no values. Good until the result is closed, or becomes an Arrow
 * stream.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `*columns` is the library's.
 */
tidelog_status tidelog_result_columns(const tidelog_result *result,
                                      const tidelog_column **columns,
                                      size_t *count,
                                      tidelog_error *error);

/**
 * The next rows of a result: `TIDELOG_OK` with at least one, `TIDELOG_DONE` when there are no more. Values are not copied.
 *
 * Errors: `TIDELOG_CANCELLED`; `TIDELOG_CORRUPT` or `TIDELOG_IO` when a file that is needed cannot be read. No answer is partial
 * in silence.
 *
 * Threads: one at a time with one result, for the next call ends what the last one gave; any thread. Blocks: disk.
 * Since: 0.1. Owns: nothing; what `*block` points to is the library's, until the next call with this result.
 */
tidelog_status tidelog_result_next(tidelog_result *result,
                                   tidelog_block *block,
                                   tidelog_error *error);

/**
 * Turns a result, or what is left of it, into an Arrow C stream: batches of a struct with the columns "device"
 * (dictionary-encoded utf8) and "timestamp_ns" (timestamp[ns, UTC]), where rows have them, then the fields. Values are handed
 * over where they stand; only offsets of strings and bits of bools are made anew.
 *
 * The stream is read as Arrow says: by one thread at a time, until its `release`. It does not need the store any more.
 * Its `get_next` blocks on the disk; in a forked child it fails.
 *
 * Threads: any. Blocks: no. Since: 0.1.
 * Owns: takes `*result`, which is NULL afterwards, also after an error; `*stream` is the caller's, to be released by its
 * own `release`.
 */
tidelog_status tidelog_result_to_arrow(tidelog_result **result,
                                       struct ArrowArrayStream *stream,
                                       tidelog_error *error);

/**
 * Cancels the query behind a result: whoever waits for its next rows gets `TIDELOG_CANCELLED` within about the time of one
 * page. Results that are no query's are not concerned.
 *
 * Threads: any, while another is in `tidelog_result_next`. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_result_cancel(tidelog_result *result,
                                     tidelog_error *error);

/**
 * What an answer was made of so far: whole once it is drawn to its end. `TIDELOG_NOTHING` for results that are no query's.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_result_explain(const tidelog_result *result,
                                      tidelog_explain *explain,
                                      tidelog_error *error);

/**
 * Ends a result, read to its end or not, and what its last block pointed to. `*result` is NULL afterwards; NULL is no error.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: takes `*result`.
 */
tidelog_status tidelog_result_close(tidelog_result **result,
                                    tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Queries
 * ---------------------------------------------------------------------------- */

/** The field is equal to the value. */
#define TIDELOG_EQUAL 1
/** It is not. */
#define TIDELOG_NOT_EQUAL 2
/** It is less. */
#define TIDELOG_LESS 3
/** It is less or equal. */
#define TIDELOG_LESS_OR_EQUAL 4
/** It is greater. */
#define TIDELOG_GREATER 5
/** It is greater or equal. */
#define TIDELOG_GREATER_OR_EQUAL 6

/** Arithmetic mean. */
#define TIDELOG_MEAN 1
/** Least value. */
#define TIDELOG_MIN 2
/** Greatest value. */
#define TIDELOG_MAX 4
/** Sum, exact for integers. */
#define TIDELOG_SUM 8
/** How many values there are. Of fields of any type. */
#define TIDELOG_COUNT 16
/** The earliest value. Of fields of any type. */
#define TIDELOG_FIRST 32
/** The latest value. Of fields of any type. */
#define TIDELOG_LAST 64
/** Sample standard deviation. */
#define TIDELOG_STDDEV 128
/** When the least value stands first. */
#define TIDELOG_MIN_TIME 256
/** When the greatest value stands first. */
#define TIDELOG_MAX_TIME 512
/** By how much a counter went up, a fall being a restart at zero. */
#define TIDELOG_INCREASE 1024
/** The same per second. */
#define TIDELOG_RATE 2048

/** Calendar units of `zone`, for `every_unit`: fifteen minutes. */
#define TIDELOG_QUARTER_HOUR 1
/** Thirty minutes. */
#define TIDELOG_HALF_HOUR 2
/** An hour. */
#define TIDELOG_HOUR 3
/** A civil day. */
#define TIDELOG_DAY 4
/** Seven days from Monday. */
#define TIDELOG_WEEK 5
/** A civil month. */
#define TIDELOG_MONTH 6
/** Three months. */
#define TIDELOG_QUARTER 7
/** A civil year. */
#define TIDELOG_YEAR 8

/** Windows without rows are left out. */
#define TIDELOG_FILL_NONE 0
/** They are there, without values. */
#define TIDELOG_FILL_NULL 1
/** They have the value of the window before, at most `fill_gap_ns` back. */
#define TIDELOG_FILL_PREVIOUS 2
/** They lie on the line between the windows around, at most `fill_gap_ns` apart. Floats only. */
#define TIDELOG_FILL_LINEAR 3
/** They have `fill_value`. */
#define TIDELOG_FILL_VALUE 4

/** Newest rows first, inside of a device. */
#define TIDELOG_QUERY_DESCENDING 1
/** One result over all devices together. Needs aggregates. */
#define TIDELOG_QUERY_ALL_DEVICES 2
/** Take the nearest windows where retention has left no exact ones, instead of `TIDELOG_RESOLUTION_GONE`. */
#define TIDELOG_QUERY_NEAREST 4

/** Every two points between which the least and the greatest are kept; 4 or more points. */
#define TIDELOG_MIN_MAX 1
/** Largest triangle three buckets: what matters most to the eye; 3 or more points. */
#define TIDELOG_LTTB 2
/** First, last, least and greatest of each of so many columns of pixels. */
#define TIDELOG_M4 3

/** One value, of any type. */
typedef struct tidelog_value {
    /** `TIDELOG_F64` and so on: says which of the members counts. */
    uint32_t kind;
    /** For `TIDELOG_BOOL`: 0 or 1. */
    uint32_t boolean;
    /** For `TIDELOG_F64` and `TIDELOG_F32`. */
    double real;
    /** For `TIDELOG_I64`. */
    int64_t integer;
    /** For `TIDELOG_U64`. */
    uint64_t unsigned_integer;
    /** For `TIDELOG_STRING` and `TIDELOG_BYTES`. */
    const void *data;
    /** Its length in bytes. */
    size_t length;
} tidelog_value;

/** A condition on a field. Numbers compare with numbers of any type, exactly. A row without the field never satisfies one. */
typedef struct tidelog_predicate {
    /** The field. */
    const char *field;
    /** Zero; keeps what follows on 8 bytes where pointers have 4. */
    uint32_t reserved;
    /** `TIDELOG_EQUAL` and so on. */
    uint32_t comparison;
    /** With what it is compared. */
    tidelog_value value;
} tidelog_predicate;

/** A label that a device must have. */
typedef struct tidelog_label {
    /** Its key. */
    const char *key;
    /** Its value. */
    const char *value;
} tidelog_label;

/** Which devices are meant: all, narrowed by what is given; list, prefix and labels must all match. */
typedef struct tidelog_devices {
    /** Only these, as a name or `name,label=value,...`; NULL: any. */
    const char *const *names;
    /** How many they are. */
    size_t name_count;
    /** Only devices whose name begins so; NULL: any. */
    const char *prefix;
    /** Only devices with all of these labels; NULL: any. */
    const tidelog_label *labels;
    /** How many they are. */
    size_t label_count;
    /** Zero: room for later ways to choose. */
    size_t reserved[3];
} tidelog_devices;

/** What is asked for. Zero means all: every device, every field, all of time, raw rows. */
typedef struct tidelog_query_options {
    /** `sizeof(tidelog_query_options)`. */
    uint32_t struct_size;
    /** A sum of `TIDELOG_QUERY_*`. */
    uint32_t flags;
    /** At most so many rows, the first in order; zero: all. */
    uint64_t limit;
    /** The width of windows that begin at multiples of it since 1970; zero: no windows, or `every_unit`. */
    uint64_t every_ns;
    /** What stands in windows without values is at most so old, or its ends so far apart; zero: any. */
    uint64_t fill_gap_ns;
    /** For `TIDELOG_FILL_VALUE`. */
    double fill_value;
    /** The width of windows as a calendar unit, `TIDELOG_DAY` and so on; zero: none. */
    uint32_t every_unit;
    /**
     * A sum of `TIDELOG_MEAN` and so on: a column for each of a field, named `field_mean`, in the order of their numbers.
     * Zero with windows: the mean. Without windows, one window spans the range.
     */
    uint32_t aggregates;
    /** `TIDELOG_FILL_*`. */
    uint32_t fill;
    /** At most so many threads, the caller's included; zero: as many as there are cores. */
    uint32_t threads;
    /** The time zone of `every_unit`, as "Europe/Berlin"; NULL: UTC. */
    const char *zone;
    /** The first nanosecond; NULL: from the beginning. */
    const int64_t *from_ns;
    /** The nanosecond after the last; NULL: to the end. */
    const int64_t *to_ns;
    /** Only these fields, in this order; NULL: all. */
    const char *const *fields;
    /** How many they are. */
    size_t field_count;
    /** Only rows that satisfy all of these. */
    const tidelog_predicate *predicates;
    /** How many they are. */
    size_t predicate_count;
    /** `sizeof(tidelog_predicate)`, when there are any. */
    size_t predicate_stride;
    /** Only these devices. */
    tidelog_devices devices;
    /**
     * How long fields had a value: an equality each. A column "field_in_value" (i64, nanoseconds) behind the aggregates, or without any,
     * alone. The last value holds to the end of the range, or where that is open, to its own time. Fields of bool, string, i64 or u64.
     */
    const tidelog_predicate *states;
    /** How many they are. */
    size_t state_count;
    /** `sizeof(tidelog_predicate)`, when there are any. */
    size_t state_stride;
} tidelog_query_options;

/**
 * Asks a collection. The result sees the store as it is at this moment, whole batches only, whatever is written, flushed or
 * compacted while it is read. Rows come by device and time. `options` may be NULL: everything.
 *
 * Errors: `TIDELOG_NOT_FOUND` for a collection or field that is not there, `TIDELOG_INVALID_ARGUMENT`; damage is met while the
 * result is read.
 *
 * Threads: any. Queries over many devices read ahead on a few threads, which end with the result. Blocks: disk.
 * Since: 0.1. Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_query(const tidelog_store *store,
                             const char *collection,
                             const tidelog_query_options *options,
                             tidelog_result **result,
                             tidelog_error *error);

/**
 * The latest row of each device, all its fields as they are in that row. Of the options, those of devices, fields, range and
 * predicates count.
 *
 * Errors: as `tidelog_query`.
 *
 * Threads: any. Blocks: disk at first; once asked, no, until files or deletes change. Since: 0.1.
 * Owns: as `tidelog_query`.
 */
tidelog_status tidelog_latest(const tidelog_store *store,
                              const char *collection,
                              const tidelog_query_options *options,
                              tidelog_result **result,
                              tidelog_error *error);

/**
 * About as many points as a plot can show, of one numeric field, for each device: `method` is `TIDELOG_MIN_MAX`, `TIDELOG_LTTB` or
 * `TIDELOG_M4`, `points` is the number of points or, for M4, of columns of pixels. Every point is one of the field's own. The
 * result has the field's name and type. Of the options, those of devices, range and predicates count, and `fields` names
 * exactly one field.
 *
 * Errors: as `tidelog_query`; `TIDELOG_INVALID_ARGUMENT` when the field is no number or the points are too few.
 *
 * Threads: any. Blocks: disk; all points are chosen before it returns. Since: 0.1. Owns: as `tidelog_query`.
 */
tidelog_status tidelog_downsample(const tidelog_store *store,
                                  const char *collection,
                                  const tidelog_query_options *options,
                                  uint32_t method,
                                  size_t points,
                                  tidelog_result **result,
                                  tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Collections: schema, retention, deletes
 * ---------------------------------------------------------------------------- */

/** What a delete hides. Zero means all of the collection. */
typedef struct tidelog_delete_options {
    /** `sizeof(tidelog_delete_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** The first nanosecond; NULL: from the beginning. */
    const int64_t *from_ns;
    /** The nanosecond after the last; NULL: to the end. */
    const int64_t *to_ns;
    /** Only these fields: the rows stay, without them; NULL: all. */
    const char *const *fields;
    /** How many they are. */
    size_t field_count;
    /** Only these devices. */
    tidelog_devices devices;
} tidelog_delete_options;

/**
 * The collections there are, one row each: "collection" (string), "devices", "rows", "values" (u64; a row that several files
 * hold counts in each until compaction), "fields" (u64), "first_ns" and "last_ns" (i64, absent when empty), "kept_from_ns"
 * (i64, absent when nothing was cut off), "retention" (string).
 *
 * Threads: any. Blocks: disk; reads the device tables of all files. Since: 0.1.
 * Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_collections(const tidelog_store *store,
                                   tidelog_result **result,
                                   tidelog_error *error);

/**
 * The schema of a collection, one row for each field: "name" (string), "kind" (u64: `TIDELOG_F64` and so on), "type"
 * (string).
 *
 * Errors: `TIDELOG_NOT_FOUND`.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: as `tidelog_collections`.
 */
tidelog_status tidelog_fields(const tidelog_store *store,
                              const char *collection,
                              tidelog_result **result,
                              tidelog_error *error);

/**
 * Creates a collection with leaf windows of 60, 30 or 15 minutes; zero: 60. Writing to one creates it with 60. One that exists
 * is left as it is.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_collection_create(tidelog_store *store,
                                         const char *collection,
                                         uint32_t leaf_minutes,
                                         tidelog_error *error);

/**
 * Sets how long each tier of a collection is kept, as "raw=30d,1h=1y,1d=forever", and cuts off at once what is older; from then
 * on the store does by itself, whole days (UTC) at a time. Where rollups are kept longer than rows, they stand for them.
 *
 * Errors: `TIDELOG_NOT_FOUND`, `TIDELOG_INVALID_ARGUMENT` for a text that is no retention.
 *
 * Threads: any. Blocks: disk, long where years are settled. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_set_retention(tidelog_store *store,
                                     const char *collection,
                                     const char *retention,
                                     tidelog_error *error);

/**
 * Deletes what a collection, or a whole database (a name without a dot), has of the devices, fields and times in `options`, which
 * may be NULL for all of it. What was written before is hidden, durably, when this returns; what is written after is visible.
 * Compaction frees the space. `stamp` may be NULL.
 *
 * Errors: `TIDELOG_SETTLED` names the range that would be accepted, where retention has left only rollups.
 *
 * Threads: any. Blocks: disk, for an fsync. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_delete(tidelog_store *store,
                              const char *collection,
                              const tidelog_delete_options *options,
                              uint64_t *stamp,
                              tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Upkeep: flush, seal, compact, check, figures
 * ---------------------------------------------------------------------------- */

/**
 * Told how far a long piece of work has come, in bytes done and to do. Called on the thread that called, while a thread of
 * the library does the work, so it may call any function, with any handle. Returns 0 to go on, anything else to stop. It must
 * not throw, longjmp or fork.
 */
typedef int32_t (*tidelog_progress_fn)(void *user, uint64_t done, uint64_t total);

/** What sealing made anew. */
typedef struct tidelog_seal_report {
    /** `sizeof(tidelog_seal_report)`, set by the caller. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Leaves of series. */
    uint64_t leaves;
    /** Days, months and years of series. */
    uint64_t parents;
    /** Nodes of the digest tree. */
    uint64_t windows;
    /** Rows read for it. */
    uint64_t rows;
} tidelog_seal_report;

/** What a check has read. */
typedef struct tidelog_check_report {
    /** `sizeof(tidelog_check_report)`, set by the caller. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Files that were read. */
    uint64_t files;
    /** Their pages, over all columns. */
    uint64_t pages;
    /** Rows in the pages that are whole. */
    uint64_t rows;
    /** Bytes of files and log. */
    uint64_t bytes;
    /** Writes and deletes in the log that are whole. */
    uint64_t log_records;
    /** How many things are wrong. */
    uint64_t findings;
} tidelog_check_report;

/** Figures of an open store, at one moment. Those that count something count since it was opened. */
typedef struct tidelog_stats {
    /** `sizeof(tidelog_stats)`, set by the caller. */
    uint32_t struct_size;
    /** 1 when an fsync failed: nothing is acknowledged any more. */
    uint32_t poisoned;
    /** Batches acknowledged or on their way. */
    uint64_t writes;
    /** Rows in them. */
    uint64_t rows_written;
    /** Values in them. */
    uint64_t values_written;
    /** Rows taken from other stores. */
    uint64_t rows_applied;
    /** Rows refused because they are older than what retention keeps. */
    uint64_t rows_settled;
    /** Rows given up because the store was at its bound. */
    uint64_t rows_evicted;
    /** Times a writer waited for memory. */
    uint64_t waits_for_room;
    /** Writes in the log that wait for their fsync. */
    uint64_t writes_waiting;
    /** Fsyncs of the log. */
    uint64_t log_syncs;
    /** Bytes appended to the log. */
    uint64_t log_bytes_written;
    /** Bytes of the log on disk. */
    uint64_t log_bytes;
    /** Segments of the log on disk. */
    uint64_t log_segments;
    /** Bytes of rows in memory. */
    uint64_t memory_bytes;
    /** Rows in memory. */
    uint64_t memory_rows;
    /** The budget they must keep. */
    uint64_t memory_budget;
    /** Bytes of parsed indexes. */
    uint64_t cache_bytes;
    /** Flushes that ended well. */
    uint64_t flushes;
    /** Flushes that did not. */
    uint64_t flush_failures;
    /** Bytes of files written by flushes. */
    uint64_t flushed_bytes;
    /** Compactions that ended well. */
    uint64_t compactions;
    /** Compactions that did not. */
    uint64_t compaction_failures;
    /** Bytes of files written by compactions. */
    uint64_t compacted_bytes;
    /** Files there are. */
    uint64_t files;
    /** Their bytes. */
    uint64_t file_bytes;
    /** Files that cannot be read. */
    uint64_t files_broken;
    /** Files whose rows rollups and digests do not count yet. */
    uint64_t files_unsealed;
    /** Deletes that are kept. */
    uint64_t tombstones;
    /** Bytes written to files for each byte that flushes wrote; 0 before. */
    double write_amplification;
} tidelog_stats;

/**
 * Writes all rows in memory to files, and deletes the log they cover. The store does so by itself when memory is half full.
 *
 * Errors: `TIDELOG_IO`: what was acknowledged stays where it was.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_flush(tidelog_store *store,
                             tidelog_error *error);

/**
 * Flushes, then makes rollups and digests anew where rows and deletes have overtaken them. The store does so by itself; queries
 * and digests are right all the same. `progress` is told 0 of 1 after each device, and may be NULL; so may `report`.
 *
 * `TIDELOG_STOPPED` when the callback said so: what was sealed stays.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_seal(tidelog_store *store,
                            tidelog_progress_fn progress,
                            void *user,
                            tidelog_seal_report *report,
                            tidelog_error *error);

/**
 * Flushes, then merges the files of each group into one with the codecs that put size first, applying deletes and retention.
 * `progress` may be NULL. `TIDELOG_STOPPED` when the callback said so: what was merged stays.
 *
 * Threads: any. Blocks: disk, long. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_compact(tidelog_store *store,
                               tidelog_progress_fn progress,
                               void *user,
                               tidelog_error *error);

/**
 * Verifies everything: the manifest, every page of every file, the log. Changes nothing, goes on after damage, and returns
 * `TIDELOG_OK` whatever it finds: look at `report`, or at the rows of `findings`: "path", "what" (string), "collection", "device"
 * (string), "first_ns", "last_ns" (i64), the latter four absent where more than one is hit. `report`, `findings` and `progress` may
 * be NULL. `TIDELOG_STOPPED` when the callback said so.
 *
 * Threads: any; flushes wait while the log is read. Blocks: disk, long. Since: 0.1.
 * Owns: `*findings` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
 */
tidelog_status tidelog_check(const tidelog_store *store,
                             tidelog_progress_fn progress,
                             void *user,
                             tidelog_check_report *report,
                             tidelog_result **findings,
                             tidelog_error *error);

/**
 * Figures of the store.
 *
 * Threads: any. Blocks: disk, shortly. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_get_stats(const tidelog_store *store,
                                 tidelog_stats *stats,
                                 tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Copies and damage: backup, recover, adopt
 * ---------------------------------------------------------------------------- */

/** What was copied. */
typedef struct tidelog_backup_report {
    /** `sizeof(tidelog_backup_report)`, set by the caller. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Files. */
    uint64_t files;
    /** Their bytes. */
    uint64_t bytes;
    /** Rows in them; a row that several files hold counts in each. */
    uint64_t rows;
} tidelog_backup_report;

/** What recovery found and did. */
typedef struct tidelog_recover_report {
    /** `sizeof(tidelog_recover_report)`, set by the caller. */
    uint32_t struct_size;
    /** 1 when the manifest was rebuilt; 0 when nothing was changed. */
    uint32_t manifest_replaced;
    /** Files of the store now. */
    uint64_t files;
    /** Rows in them. */
    uint64_t rows;
    /** Writes and deletes in the log. */
    uint64_t log_records;
    /** Files that the manifest did not list any more. */
    uint64_t listed_again;
    /** Files written with what could be read of damaged ones. */
    uint64_t rescued;
    /** Files moved to quarantine/. */
    uint64_t quarantined;
    /** Files that are gone. */
    uint64_t missing;
    /** How many things were wrong. */
    uint64_t findings;
} tidelog_recover_report;

/**
 * Copies a store to the directory `path` (UTF-8), which does not exist yet or is empty, while writes go on; digests are
 * verified. The copy has everything that was acknowledged before the call, and opens like any other store: to write to it beside
 * the original, `tidelog_adopt` it first. `progress` and `report` may be NULL. `TIDELOG_STOPPED` when the callback said so: remove what
 * was copied.
 *
 * Errors: `TIDELOG_LOCKED` when the directory is not empty or in use, `TIDELOG_CORRUPT` when a file of the store is damaged,
 * `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk, long. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_backup(tidelog_store *store,
                              const char *path,
                              tidelog_progress_fn progress,
                              void *user,
                              tidelog_backup_report *report,
                              tidelog_error *error);

/**
 * Gives the copied store in the directory `path` (UTF-8) an id of its own, so that it can be written to beside the original.
 * `store_id` (16 bytes, or NULL) gets the new one.
 *
 * Errors: `TIDELOG_LOCKED` when it is open for writing, `TIDELOG_NOT_FOUND`, `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_adopt(const char *path,
                             uint8_t *store_id,
                             tidelog_error *error);

/**
 * Makes a damaged store in the directory `path` (UTF-8), which nobody has open, one that opens, with every row that can be read.
 * Damage moves to quarantine/; nothing is deleted, and a store that is well is left as it is. `findings` are as of
 * `tidelog_check`. `progress`, `report` and `findings` may be NULL. `TIDELOG_STOPPED` when the callback said so, before anything was changed.
 *
 * Errors: `TIDELOG_LOCKED` when it is open, `TIDELOG_NOT_FOUND`, `TIDELOG_TOO_NEW`, `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk, long. Since: 0.1.
 * Owns: `*findings` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
 */
tidelog_status tidelog_recover(const char *path,
                               tidelog_progress_fn progress,
                               void *user,
                               tidelog_recover_report *report,
                               tidelog_result **findings,
                               tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Digests: equal or not, and where
 * ---------------------------------------------------------------------------- */

/** A collection as a whole: one digest over all groups. */
#define TIDELOG_LEVEL_ROOT 0
/** UTC years of each group. */
#define TIDELOG_LEVEL_YEAR 1
/** UTC months. */
#define TIDELOG_LEVEL_MONTH 2
/** UTC days. */
#define TIDELOG_LEVEL_DAY 3
/** Leaf windows. */
#define TIDELOG_LEVEL_WINDOW 4
/** Each device in a leaf window. */
#define TIDELOG_LEVEL_SERIES 7

/**
 * Digests of a collection at a level of its tree, of windows that overlap a range: equal rows give equal digests, whoever wrote
 * them and in whatever files they lie. Rows: "group" (u64, absent for the root), "first_ns", "last_ns" (i64), "device" (string, absent
 * above `TIDELOG_LEVEL_SERIES`), "digest" (bytes, 32 of them). An empty collection has no row. `from_ns` and `to_ns` may be NULL.
 *
 * Threads: any. Blocks: disk; what is not sealed yet is read and hashed. Since: 0.1.
 * Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_digests(const tidelog_store *store,
                               const char *collection,
                               uint32_t level,
                               const int64_t *from_ns,
                               const int64_t *to_ns,
                               tidelog_result **result,
                               tidelog_error *error);

/**
 * Where a collection differs from that of another open store, leaf window by leaf window: "group" (u64), "first_ns", "last_ns"
 * (i64), "device" (string), "rows_here", "rows_there", "missing" (only there), "extra" (only here), "mismatched" (u64). No row:
 * they are equal. At most `limit` rows; zero: all.
 *
 * Errors: `TIDELOG_INVALID_ARGUMENT` when the stores have other numbers of groups or leaves of other widths.
 *
 * Threads: any. Blocks: disk; follows the difference, not the data. Since: 0.1. Owns: as `tidelog_digests`.
 */
tidelog_status tidelog_compare(const tidelog_store *store,
                               const tidelog_store *other,
                               const char *collection,
                               uint64_t limit,
                               tidelog_result **result,
                               tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Tails: what is written, as it is written
 * ---------------------------------------------------------------------------- */

/** Rows that were written. */
#define TIDELOG_RECORD_ROWS 1
/** A delete. */
#define TIDELOG_RECORD_DELETE 2

/** Follows what a store writes itself. */
typedef struct tidelog_tail tidelog_tail;

/** Something that was written. */
typedef struct tidelog_record {
    /** `sizeof(tidelog_record)`, set by the caller. */
    uint32_t struct_size;
    /** `TIDELOG_RECORD_ROWS` or `TIDELOG_RECORD_DELETE`; skip others, which later versions may add. */
    uint32_t kind;
    /** Where it stands in the log. */
    tidelog_position position;
    /** Where the next one stands: open a tail from here to go on after this one. */
    tidelog_position next;
    /** When it happened, as in `tidelog_receipt`. */
    uint64_t stamp;
    /** The collection, or the database for a delete in all of it; good until the next call with this tail. */
    const char *collection;
} tidelog_record;

/**
 * Follows what is written to the store from `from` on; NULL: from now on. It holds no lock, and stops no log from being
 * deleted: who falls far behind gets `TIDELOG_GONE` and reads the store anew.
 *
 * Errors: `TIDELOG_GONE` when the log does not reach back so far, or the position is of another opening; `TIDELOG_READ_ONLY`.
 *
 * Threads: any; calls with one tail wait for each other. Blocks: no. Since: 0.1.
 * Owns: `*tail` is the caller's, to be ended by `tidelog_tail_close`; it is NULL after an error.
 */
tidelog_status tidelog_tail_open(const tidelog_store *store,
                                 const tidelog_position *from,
                                 tidelog_tail **tail,
                                 tidelog_error *error);

/**
 * The next thing that was written, waiting for it up to `timeout_ns`: `TIDELOG_OK`, or `TIDELOG_NOTHING` when there is none by
 * then. It may come before its fsync has returned. What came from other stores is not told.
 *
 * `*rows` are the rows, by device and time; of a delete, one row for each device and field that is named: "database", "collection",
 * "device", "device_prefix", "labels", "field" (string, absent where not narrowed), "first_ns", "last_ns" (i64). `rows` may be NULL.
 *
 * Errors: `TIDELOG_GONE`, `TIDELOG_IO`.
 *
 * Threads: any; calls with one tail wait for each other. Blocks: up to the timeout, and disk. Since: 0.1.
 * Owns: `*rows` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
 */
tidelog_status tidelog_tail_next(tidelog_tail *tail,
                                 uint64_t timeout_ns,
                                 tidelog_record *record,
                                 tidelog_result **rows,
                                 tidelog_error *error);

/**
 * Ends a tail. `*tail` is NULL afterwards; NULL is no error.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: takes `*tail`.
 */
tidelog_status tidelog_tail_close(tidelog_tail **tail, tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Pins: a part of the log that is kept
 * ---------------------------------------------------------------------------- */

/**
 * Where the next thing that is written will stand in the log.
 *
 * Errors: `TIDELOG_READ_ONLY`.
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_position_now(const tidelog_store *store,
                                    tidelog_position *position,
                                    tidelog_error *error);

/**
 * Keeps the log from `position` (NULL: from now) on, so that a tail from there finds all of it, until it holds `bytes_max` more or
 * `age_max_ns` has passed; zero: no bound of that kind. A pin that breaks is told in a log line. One with the same `name` is replaced.
 *
 * Errors: `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_IO` when the position is of another opening, `TIDELOG_READ_ONLY`.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_pin(tidelog_store *store,
                           const char *name,
                           const tidelog_position *position,
                           uint64_t bytes_max,
                           uint64_t age_max_ns,
                           tidelog_error *error);

/**
 * Lets go of the log. A name that is not pinned is no error.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_unpin(tidelog_store *store, const char *name, tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Callbacks
 * ---------------------------------------------------------------------------- */

/**
 * Tells the caller that its `user` pointer is not used any more. It runs on the thread that let go of it, the caller's or one of the
 * library's, with no lock held: it may call any function, but that of a policy none of its own node, which may wait for it. It must not
 * throw, longjmp or fork.
 */
typedef void (*tidelog_drop_fn)(void *user);

/* ----------------------------------------------------------------------------
 * Log lines
 * ---------------------------------------------------------------------------- */

/** Something failed. */
#define TIDELOG_LOG_ERROR 1
/** Something is not as it should be. */
#define TIDELOG_LOG_WARN 2
/** Something happened. */
#define TIDELOG_LOG_INFO 3
/** What is done. */
#define TIDELOG_LOG_DEBUG 4
/** All there is. */
#define TIDELOG_LOG_TRACE 5

/** A line. Good during the callback only. */
typedef struct tidelog_log_record {
    /** Its size in the library, which may be greater than the header's. */
    uint32_t struct_size;
    /** `TIDELOG_LOG_ERROR` and so on. */
    uint32_t level;
    /** The part of the library it comes from. */
    tidelog_text target;
    /** What it says, without a line feed at its end. */
    tidelog_text message;
    /** Lines before it that were lost because the callback was too slow. */
    uint64_t lost;
} tidelog_log_record;

/**
 * Handed each line, on a thread of the library's named "tidelog-log", one at a time, with no lock held: it may call any function.
 * Returns 0 to go on, anything else to end the hook. It must not throw, longjmp or fork.
 */
typedef int32_t (*tidelog_log_fn)(void *user, const tidelog_log_record *record);

/**
 * Hands log lines of `level` and the more important ones to `function` from now on, in place of the hook before; there is
 * one for the process. A NULL `function` ends the hook: when the call returns nothing is handed over any more, unless the
 * callback itself calls. Until this is called nothing is collected; the library never writes to stdout or stderr, but for the
 * text of a panic.
 *
 * `drop` (may be NULL) is called once with `user` when the hook has ended, also after an error.
 *
 * Errors: `TIDELOG_LOCKED` in a Rust program that collects tracing events itself.
 *
 * Threads: any; lines come on one of the library's. Blocks: until the hook before has ended. Since: 0.1.
 * Owns: `user` is the library's until `drop`.
 */
tidelog_status tidelog_log_set(uint32_t level,
                               tidelog_log_fn function,
                               void *user,
                               tidelog_drop_fn drop,
                               tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Policies: how differences are repaired
 * ---------------------------------------------------------------------------- */

/** Bytes over a link cost nothing. */
#define TIDELOG_COST_FREE 0
/** Each byte is paid for: a mobile network, a satellite. */
#define TIDELOG_COST_METERED 1

/** Nothing until the next comparison; so it is with windows that no step names. */
#define TIDELOG_ACTION_SKIP 0
/** Rows that the peer has and this store lacks come. */
#define TIDELOG_ACTION_PULL 1
/** Rows that this store has and the peer lacks go. */
#define TIDELOG_ACTION_PUSH 2
/** Both. */
#define TIDELOG_ACTION_BOTH 3
/** Nothing before a time. */
#define TIDELOG_ACTION_DEFER 4
/** The peer's rollups by hour come and answer queries until the rows do. */
#define TIDELOG_ACTION_ROLLUPS 5

/** A plan while a policy makes it. */
typedef struct tidelog_policy_plan tidelog_policy_plan;

/** One decision. The order of steps is the order of repair. */
typedef struct tidelog_policy_step {
    /** An index into the windows of the round; each is named once at most. */
    uint32_t window;
    /**
     * From whom, or to whom: an index into the peers of the round, of one that is up. Another one than the comparison is with: it
     * is left to a comparison with that one, which begins soon.
     */
    uint32_t peer;
    /** `TIDELOG_ACTION_*`. */
    uint32_t action;
    /** Zero. */
    uint32_t reserved;
    /** Of `TIDELOG_ACTION_DEFER`: milliseconds since 1970 in UTC. Zero for all others. */
    uint64_t until_ms;
} tidelog_policy_step;

/** What a policy is told of a peer. */
typedef struct tidelog_policy_peer {
    /** Which store it is. */
    uint8_t store_id[16];
    /** 1: it can be reached now; 0: it cannot, and no step may name it. */
    uint32_t up;
    /** What its link costs, as the topology says: `TIDELOG_COST_*`. */
    uint32_t cost;
    /** The round-trip time of its link in microseconds; 0: not known. */
    uint32_t rtt_us;
    /** Zero. */
    uint32_t reserved;
    /** Milliseconds since this store last had all that the peer had written. */
    uint64_t lag_ms;
    /** Milliseconds since both last agreed; `UINT64_MAX`: not since the node started. */
    uint64_t agreed_ms_ago;
} tidelog_policy_peer;

/** What a side has in a window. */
typedef struct tidelog_policy_side {
    /** Rows that can be seen. */
    uint64_t rows;
    /** About how many bytes they are, before they are encoded. */
    uint64_t bytes;
} tidelog_policy_side;

/** A window in which two stores differ. */
typedef struct tidelog_policy_window {
    /** The collection, as "database.collection". */
    const char *collection;
    /** The group. */
    uint32_t group;
    /** So many devices differ in it; 0: it is not known how many. */
    uint32_t devices;
    /** Its first nanosecond. */
    int64_t first_ns;
    /** Its last nanosecond, which is in it. Windows are whole leaf windows: one, or some in a row of which one side has nothing. */
    int64_t last_ns;
    /** What is here. */
    tidelog_policy_side ours;
    /** What the peer has. */
    tidelog_policy_side theirs;
    /** Milliseconds since it was first seen to differ. */
    uint64_t age_ms;
    /** 1: rollups of the peer were borrowed for it; else 0. */
    uint32_t borrowed;
    /** Zero. */
    uint32_t reserved;
} tidelog_policy_window;

/**
 * What a policy is told, once for each plan. A plan follows from it alone, clock and budget included: so rounds can be recorded and
 * planned again. Good during the callback only.
 */
typedef struct tidelog_policy_round {
    /** Its size in the library, which may be greater than the header's. */
    uint32_t struct_size;
    /** With whom this comparison is: an index into `peers`. */
    uint32_t peer;
    /** The wall clock: milliseconds since 1970 in UTC. */
    uint64_t now_ms;
    /** Bytes that repairs may still send and receive until the budget is filled up again; `UINT64_MAX`: there is no bound. */
    uint64_t budget_bytes;
    /** A window that has differed for so many milliseconds is repaired whatever the plan says. */
    uint64_t max_deferral_ms;
    /** The peers that this store is linked with or waits for, 64 at most. NULL when there are none. */
    const tidelog_policy_peer *peers;
    /** How many they are. */
    size_t peer_count;
    /** Bytes from one to the next. */
    size_t peer_stride;
    /** The windows that differ, 1,000 at most, ascending by group, collection and time. NULL when there are none. */
    const tidelog_policy_window *windows;
    /** How many they are. */
    size_t window_count;
    /** Bytes from one to the next. */
    size_t window_stride;
} tidelog_policy_round;

/**
 * Plans a round: adds steps with `tidelog_policy_plan_add` and returns `TIDELOG_OK`. Anything else means that there is no plan:
 * `TIDELOG_UNSUPPORTED` and `TIDELOG_INVALID_ARGUMENT` as they say, any other status for what failed; `tidelog_policy_plan_explain`
 * says it in words.
 *
 * It is called on a thread of the library's named "tidelog-node", one call at a time, with no lock held, and neither writes nor queries
 * wait for it. It may block until its timeout; a plan that comes later is not used. `round` and `plan` are good until it returns. It may call
 * any function, but `tidelog_node_stop` for its own node would wait for it, some seconds. It must not throw, longjmp or fork.
 */
typedef int32_t (*tidelog_policy_plan_fn)(void *user,
                                          const tidelog_policy_round *round,
                                          tidelog_policy_plan *plan);

/** A policy and its bounds. */
typedef struct tidelog_policy_table {
    /** `sizeof(tidelog_policy_table)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** A short name, for events and status. */
    const char *name;
    /** Plans a round. */
    tidelog_policy_plan_fn plan;
    /** Called once with `user` when the policy is not asked any more; may be NULL. */
    tidelog_drop_fn drop;
    /** Handed to `plan` and `drop`. */
    void *user;
    /**
     * Any bytes that tell this policy from the same one with other options: peers and status see a hash of name and options. Read
     * during the call.
     */
    const uint8_t *options;
    /** How many they are. */
    size_t options_length;
    /** A window that has differed for so many milliseconds is repaired whatever the policy says, 1,000 at least; zero: a week. */
    uint64_t max_deferral_ms;
    /** A plan that has not come after so many milliseconds is not waited for, 10 to 10,000; zero: 1,000. */
    uint64_t timeout_ms;
    /** Over metered links comparisons may send and receive so many bytes in a UTC day; zero: there is no bound. */
    uint64_t bytes_per_day;
    /** The file in which it is kept since when windows wait, and what is used of the budget; NULL: both begin anew with each policy. */
    const char *state;
    /**
     * Each round and its plan are added to this file, up to 64 MiB: a `uint32_t` length, little-endian, then as many bytes, which
     * `tidelog_policy_replay` takes. NULL: nothing is recorded.
     */
    const char *record;
} tidelog_policy_table;

/**
 * Adds steps to a plan, in the order of repair, `stride` (`sizeof(tidelog_policy_step)`) bytes from one to the next. Whether they fit
 * the round is checked when the callback returns: a plan that names a window twice, a window or a peer that is not there, or a peer
 * that is not up, is void as a whole, and so is one of which a part could not be added.
 *
 * Errors: `TIDELOG_INVALID_HANDLE` when the callback has returned, `TIDELOG_LIMIT` for more steps than a round has windows,
 * `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNKNOWN_OPTION`.
 *
 * Threads: any, while the callback runs. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_policy_plan_add(tidelog_policy_plan *plan,
                                       const tidelog_policy_step *steps,
                                       size_t count,
                                       size_t stride,
                                       tidelog_error *error);

/**
 * Says why there is no plan, for the event and the status. Counts when the callback returns something else than `TIDELOG_OK`; the last
 * one counts.
 *
 * Errors: `TIDELOG_INVALID_HANDLE` when the callback has returned, `TIDELOG_INVALID_ARGUMENT`.
 *
 * Threads: any, while the callback runs. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_policy_plan_explain(tidelog_policy_plan *plan,
                                           const char *why,
                                           tidelog_error *error);

/**
 * Asks a policy about a round that was recorded, without a node and on this thread, and holds the plan against the round as a node
 * does. `recorded` is an entry of a record file without its length. One row: "plan" (bytes: what it said, in the form of the
 * record; absent when it had none), "why" (string: why everything would be repaired instead; absent when its plan fits), "carried_out"
 * (bytes: what would be done, windows that have waited too long first), "overdue" (u64: with so many steps whatever the budget
 * says). Of the table `name`, `plan` and `user` count; `drop` is not called, and no time is kept.
 *
 * Errors: `TIDELOG_INVALID_ARGUMENT` when the bytes are no round, or the table cannot be; `TIDELOG_UNKNOWN_OPTION`.
 *
 * Threads: any. Blocks: as long as the policy. Since: 0.1.
 * Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_policy_replay(const tidelog_policy_table *table,
                                     const uint8_t *recorded,
                                     size_t length,
                                     tidelog_result **result,
                                     tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Nodes: a store among its peers
 * ---------------------------------------------------------------------------- */

/** Room for a fingerprint or an address, its NUL included. */
#define TIDELOG_TEXT_SIZE 128

/** A store among its peers: follows them, is followed, compares and repairs. */
typedef struct tidelog_node tidelog_node;

/** A peer. */
typedef struct tidelog_peer {
    /** Its name here. */
    const char *name;
    /** Where it listens, as "host:port". */
    const char *address;
    /** The fingerprint of its key, as its `tidelog_identity_fingerprint` or `tidelog pair` tells it. */
    const char *fingerprint;
} tidelog_peer;

/** How a store joins its peers: by a configuration file, or by what stands here. */
typedef struct tidelog_node_options {
    /** `sizeof(tidelog_node_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** How often stores are compared that follow each other; zero: every hour. Not with `config`. */
    uint64_t interval_ns;
    /** How long after a link the first comparison that is not needed comes; zero: 30 s. Not with `config`. */
    uint64_t initial_delay_ns;
    /**
     * The file that `tidelog node --config` takes. It is watched: peers may change in it. Its store has to be this one. NULL: what
     * follows counts.
     */
    const char *config;
    /** Where to listen, as "127.0.0.1:7447"; port 0 takes any. */
    const char *listen;
    /** The folder with this store's key and certificate. */
    const char *identity;
    /** The certificate of an authority that must vouch for every peer; NULL: fingerprints alone decide. */
    const char *authority;
    /** The peers. */
    const tidelog_peer *peers;
    /** How many they are. */
    size_t peer_count;
    /** `sizeof(tidelog_peer)`, when there are any. */
    size_t peer_stride;
    /**
     * What decides about repairs, as for `tidelog_node_set_policy`. NULL: what `config` says in `[policy]`, or everything is repaired.
     * Not with a `config` that has `[policy]`.
     */
    const tidelog_policy_table *policy;
} tidelog_node_options;

/** What is compared and repaired. Zero means everything, with all peers. */
typedef struct tidelog_repair_options {
    /** `sizeof(tidelog_repair_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Waited for at most so long; zero: one hour. It goes on in the background. */
    uint64_t timeout_ns;
    /** Only with this peer; NULL: with all that are linked. */
    const char *peer;
    /** Only this collection; NULL: all. */
    const char *collection;
    /** Of the collection, the whole UTC hours from this nanosecond on; NULL: from the beginning. */
    const int64_t *from_ns;
    /** To the nanosecond before this one; NULL: to the end. */
    const int64_t *to_ns;
} tidelog_repair_options;

/** One comparison with a running node. */
typedef struct tidelog_sync_options {
    /** `sizeof(tidelog_sync_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** Gives up after so long without success; zero: 300 s. */
    uint64_t timeout_ns;
    /** Where the node listens, as "host:port". */
    const char *peer;
    /** The fingerprint of its key. */
    const char *fingerprint;
    /** The folder with this store's key and certificate. */
    const char *identity;
} tidelog_sync_options;

/**
 * Makes a key and a certificate for a store, by which its peers know it: node.key, which nobody else may read, and node.crt, in
 * `folder`. `valid_days` is how long the certificate is good; zero: 3,650. `fingerprint` (at least `TIDELOG_TEXT_SIZE` bytes,
 * or NULL) gets the text to give to the peers.
 *
 * Errors: `TIDELOG_LOCKED` when another key is there, `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_identity_create(const tidelog_store *store,
                                       const char *folder,
                                       uint32_t valid_days,
                                       char *fingerprint,
                                       size_t capacity,
                                       tidelog_error *error);

/**
 * The fingerprint of the key and certificate in `folder`.
 *
 * Errors: `TIDELOG_NOT_FOUND` when there is none, `TIDELOG_IO`.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_identity_fingerprint(const char *folder,
                                            char *fingerprint,
                                            size_t capacity,
                                            tidelog_error *error);

/**
 * Joins a store to its peers, on a few threads of the library's named "tidelog-node". Writes and queries go to the store as ever
 * and wait for none of this. Stop the node before the store is closed.
 *
 * Errors: `TIDELOG_READ_ONLY`, `TIDELOG_NOT_FOUND` and `TIDELOG_IO` for files, `TIDELOG_NETWORK` when the address cannot be listened on,
 * `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNSUPPORTED` when `config` names a policy that is a component.
 *
 * Threads: any. Blocks: disk. Since: 0.1.
 * Owns: `*node` is the caller's, to be ended by `tidelog_node_stop`; it is NULL after an error. A policy is taken as by
 * `tidelog_node_set_policy`.
 */
tidelog_status tidelog_node_start(tidelog_store *store,
                                  const tidelog_node_options *options,
                                  tidelog_node **node,
                                  tidelog_error *error);

/**
 * Leaves the peers: links are closed, threads end, and no event callback runs any more when this returns, unless one of them
 * calls it. The store stays open. Calls that wait with the node end with `TIDELOG_CLOSED`. `*node` is NULL afterwards; NULL is no
 * error.
 *
 * Threads: any. Blocks: network, some seconds at most. Since: 0.1. Owns: takes `*node`.
 */
tidelog_status tidelog_node_stop(tidelog_node **node,
                                 tidelog_error *error);

/**
 * Where the node listens, as "127.0.0.1:7447", in `address` (at least `TIDELOG_TEXT_SIZE` bytes).
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_node_address(const tidelog_node *node,
                                    char *address,
                                    size_t capacity,
                                    tidelog_error *error);

/**
 * Waits up to `timeout_ns` until what is needed of the peers is here: a comparison with one of them came to its end, or its log
 * was followed without a gap. `TIDELOG_OK`, or `TIDELOG_NOTHING` when that is not so by then; it goes on in the background.
 *
 * Threads: any. Blocks: up to the timeout. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_node_ready(const tidelog_node *node,
                                  uint64_t timeout_ns,
                                  tidelog_error *error);

/**
 * How the node stands with each peer: "peer", "store", "state", "why", "address" (string; the latter two absent where there is
 * nothing to tell), "lag_ms", "agreed_ms_ago" (absent when no comparison has agreed), "sessions", "sessions_failed", "rows_sent",
 * "rows_taken", "bytes_sent", "bytes_received", "rtt_us", "violations" (u64, absent for peers that were never linked). The state is
 * "connected", "syncing", "lagging", "repairing", "diverged", "clock ahead", "disconnected" or "not seen".
 *
 * Threads: any. Blocks: shortly. Since: 0.1.
 * Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_node_status(const tidelog_node *node,
                                   tidelog_result **result,
                                   tidelog_error *error);

/**
 * How each group stands with its other replicas: "group" (u64), "state" (string: "single copy", "syncing", "repairing", "degraded"
 * or "active"), "replicas", "linked" (u64).
 *
 * Threads: any. Blocks: shortly. Since: 0.1. Owns: as `tidelog_node_status`.
 */
tidelog_status tidelog_node_groups(const tidelog_node *node,
                                   tidelog_result **result,
                                   tidelog_error *error);

/**
 * Compares with peers now, repairs what differs, and waits until that is over. One row for each peer: "peer", "outcome" (string:
 * "agreed", "partial", "diverged", "different" or "aborted"), "why" (string, absent unless aborted), "leaves" (leaf windows that
 * differed), "rows_sent", "rows_taken", "bytes_sent", "bytes_received", "ms" (u64), "root" (bytes, absent where there is none). A part that
 * was asked for ends as "partial" where stores differ outside of it. `options` may be NULL.
 *
 * Errors: `TIDELOG_PEER` when no such peer is linked, `TIDELOG_CLOSED` when the node was stopped.
 *
 * Threads: any. Blocks: network, up to the timeout. Since: 0.1. Owns: as `tidelog_node_status`.
 */
tidelog_status tidelog_node_repair(const tidelog_node *node,
                                   const tidelog_repair_options *options,
                                   tidelog_result **result,
                                   tidelog_error *error);

/**
 * Another policy decides about repairs from the next round on; NULL: everything is repaired, as without one. A round that is under way
 * is planned by the one before, whose `drop` follows. A policy that fails, answers late, or gives a plan that does not fit loses the
 * round: everything is repaired instead, and `TIDELOG_EVENT_PLANNED` says why; after three such rounds in a minute it is left alone for
 * a while. `tidelog_node_repair` asks no policy. To have one from the first comparison on, start the node with it.
 *
 * `drop` of the table (may be NULL) is called once with `user` when the policy is not asked any more, at the latest while the node stops,
 * and also after an error; not when the table itself cannot be read, for its size or for something in it that this library does
 * not know. A callback that does not return is not waited for: its `drop` comes when it does.
 *
 * Errors: `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNKNOWN_OPTION`, `TIDELOG_CLOSED` when the node was stopped.
 *
 * Threads: any; the policy is asked on one of the library's. Blocks: shortly. Since: 0.1.
 * Owns: `user` is the library's until `drop`; the rest of the table is read during the call.
 */
tidelog_status tidelog_node_set_policy(const tidelog_node *node,
                                       const tidelog_policy_table *table,
                                       tidelog_error *error);

/**
 * Compares a store with a running node once, repairs what differs in both, and leaves. What was just written goes too. One row, as of
 * `tidelog_node_repair`; `TIDELOG_OK` also when the stores are not equal afterwards: look at "outcome".
 *
 * Errors: `TIDELOG_PEER` when the node refuses or cannot be reached, `TIDELOG_NETWORK`, `TIDELOG_NOT_FOUND` and `TIDELOG_IO` for files.
 *
 * Threads: any; a few of the library's work while it lasts. Blocks: network, up to the timeout. Since: 0.1.
 * Owns: as `tidelog_node_status`.
 */
tidelog_status tidelog_sync(tidelog_store *store,
                            const tidelog_sync_options *options,
                            tidelog_result **result,
                            tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Events: what a node tells of what happens to it
 * ---------------------------------------------------------------------------- */

/** Something else than what follows, from a later version. */
#define TIDELOG_EVENT_OTHER 0
/** A peer greeted, and both can speak. */
#define TIDELOG_EVENT_CONNECTED 1
/** A link is gone. */
#define TIDELOG_EVENT_DISCONNECTED 2
/** A peer cannot be a replica as it is. */
#define TIDELOG_EVENT_REFUSED 3
/** A comparison began. */
#define TIDELOG_EVENT_STARTED 4
/** A comparison goes on. */
#define TIDELOG_EVENT_PROGRESS 5
/** Files of a peer are being received. */
#define TIDELOG_EVENT_RECEIVING 6
/** All files that a peer offered are here. */
#define TIDELOG_EVENT_RECEIVED 7
/** Files could not be received now. */
#define TIDELOG_EVENT_NOT_RECEIVED 8
/** A comparison came to its end. */
#define TIDELOG_EVENT_COMPLETED 9
/** A comparison did not; it is tried again. */
#define TIDELOG_EVENT_FAILED 10
/** What a peer sends cannot be taken now. */
#define TIDELOG_EVENT_STALLED 11
/** It is taken again. */
#define TIDELOG_EVENT_RESUMED 12
/** What is needed of the peers is here. */
#define TIDELOG_EVENT_READY 13

/**
 * A file here is damaged: what could be read of it was kept, and peers are asked for the rest. Until it is here, answers that need it
 * are refused.
 */
#define TIDELOG_EVENT_DAMAGED 14
/** A peer agrees on all that a damaged file held: what it had of it is here again. */
#define TIDELOG_EVENT_HEALED 15
/** A policy was asked what of a comparison is repaired; `why` tells when everything is repaired instead. */
#define TIDELOG_EVENT_PLANNED 16

/** A group, and its epoch where one is known. */
typedef struct tidelog_group_epoch {
    /** The group. */
    uint32_t group;
    /** Zero. */
    uint32_t reserved;
    /** Its epoch in the topology; zero where there is none. */
    uint64_t epoch;
} tidelog_group_epoch;

/** Something that happened. Good during the callback only. */
typedef struct tidelog_event {
    /** Its size in the library, which may be greater than the header's. */
    uint32_t struct_size;
    /** `TIDELOG_EVENT_*`. */
    uint32_t kind;
    /** The peer's name; NULL when it concerns all. */
    const char *peer;
    /** Of what has one: how it ended, as in `tidelog_node_repair`; else NULL. */
    const char *outcome;
    /** Why, where there is something to say; else NULL. */
    const char *why;
    /** Which comparison, where it is about one. */
    uint64_t session;
    /** Of a comparison: leaf windows that differed. */
    uint64_t leaves;
    /** Rows sent for it. */
    uint64_t rows_sent;
    /** Rows taken; of files, rows in them; of a damaged file, rows it had. */
    uint64_t rows_taken;
    /** Bytes sent. */
    uint64_t bytes_sent;
    /** Bytes received. */
    uint64_t bytes_received;
    /** Bytes there are to receive, of files. */
    uint64_t bytes_total;
    /** Milliseconds since it began. */
    uint64_t elapsed_ms;
    /** Events before this one that were lost because the callback was too slow. */
    uint64_t lost;
    /** Of a damaged file and of one that was healed: which, in the store's directory; else NULL. */
    const char *file;
    /** Of a comparison that began: its groups, with their epochs; of a damaged or healed file: its group. NULL when there are none. */
    const tidelog_group_epoch *groups;
    /** How many they are. */
    size_t group_count;
    /** Bytes from one to the next. */
    size_t group_stride;
    /** Of a round of a policy: its name; else NULL. */
    const char *policy;
    /** So many windows differ. */
    uint32_t windows;
    /** So many are repaired now, in one direction at least. */
    uint32_t repaired;
    /** Of so many rollups are borrowed. */
    uint32_t rollups;
    /** So many had waited too long: they are repaired whatever the policy says. */
    uint32_t overdue;
} tidelog_event;

/**
 * Handed each event, on a thread of the library's named "tidelog-events", one at a time, with no lock held: it may call any
 * function, `tidelog_node_stop` too. Nothing waits for it; one that is more than 1,024 events behind misses the oldest. Returns 0
 * to go on, anything else to hear no more. It must not throw, longjmp or fork.
 */
typedef int32_t (*tidelog_event_fn)(void *user, const tidelog_event *event);

/**
 * Hands what happens from now on to `function`. Several callbacks each hear everything; each ends with the node, or when it says
 * so. `drop` (may be NULL) is called once with `user` when it has ended, also after an error.
 *
 * Threads: any; events come on one of the library's. Blocks: no. Since: 0.1. Owns: `user` is the library's until `drop`.
 */
tidelog_status tidelog_node_on_event(const tidelog_node *node,
                                     tidelog_event_fn function,
                                     void *user,
                                     tidelog_drop_fn drop,
                                     tidelog_error *error);

/* ----------------------------------------------------------------------------
 * Members: epochs, replicas that are forgotten, groups that are given up
 * ---------------------------------------------------------------------------- */

/** A group that was given up. */
typedef struct tidelog_dropped_group {
    /** `sizeof(tidelog_dropped_group)`, set by the caller. */
    uint32_t struct_size;
    /** Which group. */
    uint32_t group;
    /** Rows removed. */
    uint64_t rows;
    /** Bytes removed. */
    uint64_t bytes;
} tidelog_dropped_group;

/**
 * The highest epoch that was seen of each group that has any: "group", "epoch" (u64).
 *
 * Threads: any. Blocks: no. Since: 0.1.
 * Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
 */
tidelog_status tidelog_epochs(const tidelog_store *store,
                              tidelog_result **result,
                              tidelog_error *error);

/**
 * Groups whose epoch in the node's configuration is older than one that was seen: "group", "epoch", "seen" (u64). Who else holds
 * them is not spoken with until the file is updated.
 *
 * Threads: any. Blocks: shortly. Since: 0.1. Owns: as `tidelog_epochs`.
 */
tidelog_status tidelog_node_behind(const tidelog_node *node,
                                   tidelog_result **result,
                                   tidelog_error *error);

/**
 * Lets go of a replica that will not come back: keeps nothing for it, and refuses it from then on. `who` is its name, if it was
 * linked since the node started, or its store id. Take it out of the configuration first, on every node. Its rows that are here
 * stay. `store_id` (16 bytes, or NULL) gets which store it was.
 *
 * Errors: `TIDELOG_PEER` when it is still configured or linked, `TIDELOG_NOT_FOUND` when nothing is kept for it.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_node_forget(const tidelog_node *node,
                                   const char *who,
                                   uint8_t *store_id,
                                   tidelog_error *error);

/**
 * As `tidelog_node_forget`, for a store whose node does not run: `config` is the file of its node, `who` a store id.
 *
 * Errors: as `tidelog_node_forget`; those of reading the file.
 *
 * Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_forget(tidelog_store *store,
                              const char *config,
                              const char *who,
                              uint8_t *store_id,
                              tidelog_error *error);

/**
 * Removes the rows of a group that the configuration does not place on this node any more, once every other store that holds it
 * has agreed, in this call, that it has all of them. `dropped` may be NULL.
 *
 * Errors: `TIDELOG_PEER` says which store did not agree and why: nothing was removed then. `TIDELOG_INVALID_ARGUMENT` when the group is
 * placed here, or there is none.
 *
 * Threads: any. Blocks: network and disk, long. Since: 0.1. Owns: nothing.
 */
tidelog_status tidelog_node_drop_group(const tidelog_node *node,
                                       uint32_t group,
                                       tidelog_dropped_group *dropped,
                                       tidelog_error *error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TIDELOG_H */
