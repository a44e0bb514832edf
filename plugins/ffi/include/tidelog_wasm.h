/*
 * tidelog_wasm.h: repair policies as WebAssembly components, for programs that use libtidelog.
 *
 * A policy is two files: a component, FILE.wasm, and its manifest, FILE.toml, which says which component is meant and what it may
 * use. Here it becomes a tidelog_policy_table, which libtidelog takes like one that was written in C:
 *
 *     tidelog_policy_table table = {0};
 *     table.struct_size = sizeof table;
 *     if (tidelog_wasm_load_file("metered-uplink.wasm", NULL, &table, &error) == TIDELOG_OK)
 *         tidelog_node_set_policy(node, &table, &error);
 *
 * Link with libtidelog_wasm and libtidelog, each shared or static: `pkg-config --cflags --libs tidelog-wasm`, or Tidelog::wasm of CMake's
 * find_package(Tidelog CONFIG). libtidelog knows nothing of this library.
 *
 * What tidelog.h says of all of it holds here: outcomes, errors, structs with a size, text, threads, panics, forks. Beyond that:
 *
 *  - Each plan is made by a fresh instance with the memory and the time of its manifest. A component has no files, network, clock or
 *    randomness. One that traps, runs over its deadline, wants more memory or answers nonsense loses that round, which is
 *    repaired completely; TIDELOG_EVENT_PLANNED and the status of the node say why.
 *  - No signal handler is installed. The first load starts one thread for the process, "tidelog-policy", which sleeps while no plan is
 *    made; so the shared library stays in the process after a dlclose.
 *  - It is not hardened against speculative execution: load policies of people you know.
 */

#ifndef TIDELOG_WASM_H
#define TIDELOG_WASM_H

#include "tidelog.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a policy is loaded. */
typedef struct tidelog_wasm_options {
    /** `sizeof(tidelog_wasm_options)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /**
     * A folder for compiled code, so that what was compiled once is loaded in a millisecond. It is made when it is not there, and has
     * to belong to this user alone, with mode 0700. NULL: each load compiles, which takes tens of milliseconds or more.
     */
    const char *cache;
    /**
     * Handed what the policy logs, with its name as the target, and what happens to the cache; may be the one that is given to
     * `tidelog_log_set`. NULL: nobody wants to know. A plan has 32 lines at most, the last record says how many more were lost.
     * It is called on the thread that loads or plans, when that is done and no lock is held; on several at once where a policy is
     * replayed while a node asks it. Returns 0 to go on, anything else for no more lines. It must not throw, longjmp or fork.
     */
    tidelog_log_fn log;
    /** Handed to `log` and `log_drop`. */
    void *log_user;
    /**
     * Called once with `log_user` when the policy is gone, also after an error; not when the options themselves cannot be read, for
     * their size or for something in them that this library does not know. May be NULL.
     */
    tidelog_drop_fn log_drop;
} tidelog_wasm_options;

/** The functions of libtidelog that a plan is made with. `tidelog_wasm_load_file` and `tidelog_wasm_load` fill it. */
typedef struct tidelog_wasm_calls {
    /** `sizeof(tidelog_wasm_calls)`. */
    uint32_t struct_size;
    /** Zero. */
    uint32_t reserved;
    /** `tidelog_policy_plan_add`. */
    tidelog_status (*plan_add)(tidelog_policy_plan *plan, const tidelog_policy_step *steps, size_t count, size_t stride,
                               tidelog_error *error);
    /** `tidelog_policy_plan_explain`. */
    tidelog_status (*plan_explain)(tidelog_policy_plan *plan, const char *why, tidelog_error *error);
} tidelog_wasm_calls;

/**
 * The version of the library, as "0.1.0".
 *
 * Threads: any. Blocks: no. Since: 0.1. Owns: the text is static.
 */
const char *tidelog_wasm_version(void);

/**
 * `tidelog_wasm_load_file`, with the functions of a libtidelog that was found in another way than by linking: for programs that load
 * both libraries by name.
 *
 * Errors: as `tidelog_wasm_load_file`.
 *
 * Threads: any. Blocks: disk, and while the component is compiled and tried. Since: 0.1. Owns: as `tidelog_wasm_load_file`.
 */
tidelog_status tidelog_wasm_load_file_with(const tidelog_wasm_calls *calls,
                                           const char *path,
                                           const tidelog_wasm_options *options,
                                           tidelog_policy_table *table,
                                           tidelog_error *error);

/**
 * `tidelog_wasm_load`, with the functions of a libtidelog that was found in another way than by linking.
 *
 * Errors: as `tidelog_wasm_load`.
 *
 * Threads: any. Blocks: while the component is compiled and tried. Since: 0.1. Owns: as `tidelog_wasm_load_file`.
 */
tidelog_status tidelog_wasm_load_with(const tidelog_wasm_calls *calls,
                                      const uint8_t *component,
                                      size_t length,
                                      const char *manifest,
                                      const tidelog_wasm_options *options,
                                      tidelog_policy_table *table,
                                      tidelog_error *error);

/**
 * Lets go of a policy that was given to no node, as one that is only replayed, and takes it out of its table. Of one that a node has
 * libtidelog lets go; if it is unloaded all the same, the node's rounds are lost from then on, and repaired completely.
 *
 * Errors: `TIDELOG_INVALID_HANDLE` when the table has no policy, was dropped before, or is not of this library;
 * `TIDELOG_INVALID_ARGUMENT`.
 *
 * Threads: any. Blocks: no; a plan that is being made is made. Since: 0.1. Owns: `log_drop` follows at once, or after that plan.
 */
tidelog_status tidelog_wasm_unload(tidelog_policy_table *table, tidelog_error *error);

/**
 * Loads the component `path`, "FILE.wasm", by the manifest beside it, "FILE.toml": its hash is compared, it is compiled, its imports
 * and types are verified, and it is tried on sample rounds. What becomes of the files later does not matter.
 *
 * Of the table `name` (that of the manifest), `plan`, `drop`, `user` and `options` (the BLAKE3 hash of the component, 32 bytes, by which
 * peers tell it from others) are set, and `timeout_ms` where it is zero and the deadline of the manifest wants more than a node's second. The other bounds
 * are yours, to be set before or after.
 *
 * Errors, after which the table has no policy: `TIDELOG_NOT_FOUND` when one of the files is not there, `TIDELOG_CORRUPT` when the component is
 * not the one that the manifest means, `TIDELOG_TOO_NEW` when it is for a later version of the package tidelog:policy,
 * `TIDELOG_LIMIT` when it is too large or goes over its own limits on a sample round, `TIDELOG_IO` for files and the cache,
 * `TIDELOG_INVALID_ARGUMENT` for what is no component, no policy or no manifest, and a cache that others can enter,
 * `TIDELOG_UNKNOWN_OPTION`.
 *
 * Threads: any. Blocks: disk, and while the component is compiled and tried. Since: 0.1.
 * Owns: `user` is a policy, for one node: hand the table to it once, and it is let go of by libtidelog; else call
 * `tidelog_wasm_unload`. Handing it over ends it, also when that is an error: load anew to try again, for rounds of a policy that is
 * gone are lost, and repaired completely. `name` and `options` point to what stays as long as the process. A policy that the table had
 * before is forgotten, and not let go of.
 */
static inline tidelog_status tidelog_wasm_load_file(const char *path,
                                                    const tidelog_wasm_options *options,
                                                    tidelog_policy_table *table,
                                                    tidelog_error *error)
{
    const tidelog_wasm_calls calls = {sizeof(tidelog_wasm_calls), 0, tidelog_policy_plan_add, tidelog_policy_plan_explain};
    return tidelog_wasm_load_file_with(&calls, path, options, table, error);
}

/**
 * As `tidelog_wasm_load_file`, with a component of `length` bytes and the text of its manifest from memory. Both are read during the call.
 *
 * Errors: as `tidelog_wasm_load_file`, without files.
 *
 * Threads: any. Blocks: while the component is compiled and tried. Since: 0.1. Owns: as `tidelog_wasm_load_file`.
 */
static inline tidelog_status tidelog_wasm_load(const uint8_t *component,
                                               size_t length,
                                               const char *manifest,
                                               const tidelog_wasm_options *options,
                                               tidelog_policy_table *table,
                                               tidelog_error *error)
{
    const tidelog_wasm_calls calls = {sizeof(tidelog_wasm_calls), 0, tidelog_policy_plan_add, tidelog_policy_plan_explain};
    return tidelog_wasm_load_with(&calls, component, length, manifest, options, table, error);
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TIDELOG_WASM_H */
