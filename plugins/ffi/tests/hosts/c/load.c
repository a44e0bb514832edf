/* What is wrong with a call or a file is found out and told, a table has no policy after it, and everything is let go of once. */
#include "wasm.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct entry round_of_three;

/* The text of a file, with a NUL behind it. */
static uint8_t *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 16);
    CHECK(file && bytes);
    *length = fread(bytes, 1, (1 << 16) - 1, file);
    bytes[*length] = 0;
    CHECK(*length > 0 && fclose(file) == 0);
    return bytes;
}

static void is_empty(const tidelog_policy_table *table)
{
    CHECK(!table->name && !table->plan && !table->drop && !table->user && !table->options && !table->options_length);
}

/* The load fails with this status and a text that has both words; the log is let go of. */
static void fails(const char *path, tidelog_status status, uint32_t kind, const char *says, const char *also)
{
    struct lines lines;
    tidelog_wasm_options options = logged(&lines);
    tidelog_policy_table table = empty_table();
    table.name = "before";
    table.plan = newest_first;
    table.options_length = 7;
    GIVES(status, tidelog_wasm_load_file(path, &options, &table, &error));
    if (error.kind != kind || !strstr(error.message, says) || !strstr(error.message, also)) {
        fprintf(stderr, "%s: kind %u: %s\n", path ? path : "NULL", (unsigned)error.kind, error.message);
        exit(1);
    }
    is_empty(&table);
    CHECK(lines.dropped == 1);
}

static void files(void)
{
    const uint32_t fix = TIDELOG_KIND_FIX_CALL;
    fails("missing.wasm", TIDELOG_NOT_FOUND, fix, "missing.toml", "beside it");
    CHECK(rename("newer.wasm", "away") == 0);
    CHECK(rename("newer.toml", "alone.toml") == 0);
    fails("alone.wasm", TIDELOG_TOO_NEW, TIDELOG_KIND_UPGRADE, "alone.toml", "0.9");
    CHECK(rename("key.toml", "keys.toml") == 0);
    fails("key.wasm", TIDELOG_NOT_FOUND, fix, "key.toml", "beside it");
    CHECK(rename("keys.toml", "key.toml") == 0);
    fails("key.wasm", TIDELOG_INVALID_ARGUMENT, fix, "key.toml", "fuel");
    CHECK(rename("slow.wasm", "away") == 0);
    fails("slow.wasm", TIDELOG_NOT_FOUND, fix, "slow.wasm", "beside it");
    CHECK(rename("away", "slow.wasm") == 0);
    fails("changed.wasm", TIDELOG_CORRUPT, TIDELOG_KIND_RESTORE, "changed.wasm: the component has the hash", "its manifest says");
    fails("cut.wasm", TIDELOG_INVALID_ARGUMENT, fix, "cut.wasm: not a component", "tidelog:policy");
    fails("module.wasm", TIDELOG_INVALID_ARGUMENT, fix, "module.wasm: not a component", "");
    fails("no-policy.wasm", TIDELOG_INVALID_ARGUMENT, fix, "no-policy.wasm: the component exports nothing", "");
    fails("imports.wasm", TIDELOG_INVALID_ARGUMENT, fix, "imports.wasm: the component imports host:files/files", "");
    fails("large.wasm", TIDELOG_LIMIT, fix, "large.wasm is too large", "4 MiB");
    CHECK(mkdir("folder.wasm", 0700) == 0 && rename("alone.toml", "folder.toml") == 0);
    FILE *file = fopen("folder.toml", "wb");
    CHECK(file && fputs("name = \"\xff\"", file) >= 0 && fclose(file) == 0);
    fails("folder.wasm", TIDELOG_INVALID_ARGUMENT, fix, "folder.toml", "UTF-8");
    CHECK(unlink("folder.toml") == 0 && link("metered-uplink.toml", "folder.toml") == 0);
    fails("folder.wasm", TIDELOG_IO, TIDELOG_KIND_RETRY, "folder.wasm", "");
    fails("\xff.wasm", TIDELOG_INVALID_ARGUMENT, fix, "path is no UTF-8 from byte 0", "");
    fails("", TIDELOG_NOT_FOUND, fix, "beside it", "");
}

/* NULLs, sizes, and what an older library does not know. */
static void calls(void)
{
    static const char path[] = "metered-uplink.wasm";
    struct lines lines;
    tidelog_wasm_options options = logged(&lines);
    tidelog_policy_table table = empty_table();
    tidelog_wasm_calls own = {sizeof own, 0, tidelog_policy_plan_add, tidelog_policy_plan_explain};
    fails(NULL, TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL, "path is NULL", "");
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file(path, &options, NULL, &error));
    CHECK(strstr(error.message, "table is NULL") && lines.dropped == 1);
    for (uint32_t size = 0; size < sizeof table; size += 8) {
        table.struct_size = size;
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file(path, &options, &table, &error));
        CHECK(strstr(error.message, "set it to sizeof(tidelog_policy_table)") && table.struct_size == size);
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_unload(&table, &error));
    }
    table = empty_table();
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file_with(NULL, path, NULL, &table, &error));
    CHECK(strstr(error.message, "calls is NULL"));
    own.plan_explain = NULL;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file_with(&own, path, NULL, &table, &error));
    CHECK(strstr(error.message, "plan_explain is NULL"));
    own.plan_add = NULL;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_with(&own, NULL, 0, "", NULL, &table, &error));
    own.reserved = 1;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_wasm_load_file_with(&own, path, NULL, &table, &error));

    /* Options that cannot be read are not let go of. */
    lines.dropped = 0;
    for (int i = 0; i < 2; i++) {
        options.struct_size = i ? 100000 : 0;
        table.plan = newest_first;
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file(path, &options, &table, &error));
        CHECK(strstr(error.message, "tidelog_wasm_options") && lines.dropped == 0);
        is_empty(&table);
    }
    struct {
        tidelog_wasm_options known;
        uint64_t later;
    } newer = {options, 1};
    newer.known.struct_size = sizeof newer;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_wasm_load_file(path, &newer.known, &table, &error));
    CHECK(error.kind == TIDELOG_KIND_UPGRADE && lines.dropped == 0);
    newer.later = 0;
    WORKS(tidelog_wasm_load_file(path, &newer.known, &table, &error));
    WORKS(tidelog_wasm_unload(&table, &error));
    CHECK(lines.dropped == 1);
    newer.known.reserved = 1;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_wasm_load_file(path, &newer.known, &table, &error));
    /* An older header's options have no log. */
    options.struct_size = 16;
    CHECK(tidelog_wasm_load_file(path, &options, &table, NULL) == TIDELOG_OK);
    CHECK(tidelog_wasm_unload(&table, NULL) == TIDELOG_OK);
    is_empty(&table);
}

static void from_memory(void)
{
    size_t length = 0, manifest_length = 0;
    uint8_t *wasm = read_file("metered-uplink.wasm", &length);
    char *manifest = (char *)read_file("metered-uplink.toml", &manifest_length);
    tidelog_policy_table table = empty_table();
    WORKS(tidelog_wasm_load(wasm, length, manifest, NULL, &table, &error));
    CHECK(strcmp(table.name, "metered-uplink") == 0);
    WORKS(tidelog_wasm_unload(&table, &error));
    for (size_t cut = 0; cut < length; cut += 1499) {
        GIVES(TIDELOG_CORRUPT, tidelog_wasm_load(cut ? wasm : NULL, cut, manifest, NULL, &table, &error));
        CHECK(strstr(error.message, "metered-uplink: the component has the hash"));
    }
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load(NULL, 1, manifest, NULL, &table, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load(wasm, SIZE_MAX, manifest, NULL, &table, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load(wasm, length, NULL, NULL, &table, &error));
    for (size_t cut = 0; cut < 100; cut += 9) {
        char held = manifest[cut];
        manifest[cut] = 0;
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load(wasm, length, manifest, NULL, &table, &error));
        CHECK(strstr(error.message, "the manifest: ") && strstr(error.message, "policy check"));
        manifest[cut] = held;
    }
    is_empty(&table);
    free(wasm);
    free(manifest);
}

/* One that is dropped is gone, and nothing is dropped twice. */
static void drops(void)
{
    struct lines lines;
    tidelog_wasm_options options = logged(&lines);
    tidelog_policy_table table = empty_table(), own = empty_table(), copy;
    char why[512], name[64];
    own.name = "own";
    own.plan = newest_first;
    own.user = &own;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_unload(NULL, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_wasm_unload(&table, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_wasm_unload(&own, &error));
    CHECK(own.plan == newest_first && strstr(error.message, "not of libtidelog_wasm"));

    /* Bounds are the caller's. */
    table.max_deferral_ms = 5000;
    table.timeout_ms = 70;
    table.record = "kept";
    WORKS(tidelog_wasm_load_file("slow.wasm", &options, &table, &error));
    CHECK(table.max_deferral_ms == 5000 && table.timeout_ms == 70 && strcmp(table.record, "kept") == 0);
    copy = table;
    /* Its number in a table of somebody else's. */
    own.user = table.user;
    for (int i = 0; i < 2; i++) {
        GIVES(TIDELOG_INVALID_HANDLE, tidelog_wasm_unload(&own, &error));
        CHECK(strstr(error.message, "not of libtidelog_wasm") && lines.dropped == 0);
        own.plan = table.plan;
    }
    snprintf(name, sizeof name, "%s", table.name);
    table.drop(table.user);
    CHECK(lines.dropped == 1);
    table.drop(table.user);
    table.drop(NULL);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_wasm_unload(&copy, &error));
    CHECK(strstr(error.message, "dropped before") && lines.dropped == 1);

    /* A plan of what is gone is lost, and told; its name stays. */
    CHECK(strcmp(table.name, name) == 0 && table.options_length == 32);
    why_of(&table, &round_of_three, why);
    CHECK(strcmp(why, "the policy failed: it returned -2 and said no more") == 0);

    /* A deadline that is longer than what a node waits brings a longer wait. */
    table = empty_table();
    WORKS(tidelog_wasm_load_file("slow.wasm", NULL, &table, &error));
    CHECK(table.timeout_ms == 6000);
    WORKS(tidelog_wasm_unload(&table, &error));
    table.timeout_ms = 0;
    WORKS(tidelog_wasm_load_file("metered-uplink.wasm", NULL, &table, &error));
    CHECK(table.timeout_ms == 0);
    CHECK(table.plan(table.user, NULL, NULL) == TIDELOG_INVALID_ARGUMENT);
    WORKS(tidelog_wasm_unload(&table, &error));
}

/* Compiled once, kept, and not used when somebody changed it, which is told. */
static void cached(void)
{
    struct lines lines;
    tidelog_wasm_options options = logged(&lines);
    tidelog_policy_table table = empty_table();
    char why[512];
    options.cache = "cache";
    for (int i = 0; i < 2; i++) {
        WORKS(tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
        why_of(&table, &round_of_three, why);
        CHECK(!*why);
        WORKS(tidelog_wasm_unload(&table, &error));
        CHECK(lines.dropped == i + 1 && lines.count == 0);
    }
    CHECK(system("for code in cache/*.code; do echo changed >>\"$code\"; done") == 0);
    WORKS(tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
    WORKS(tidelog_wasm_unload(&table, &error));
    CHECK(lines.count == 1 && strstr(lines.first, "was changed on disk") && strstr(lines.target, "tidelog_wasm"));
    CHECK(chmod("cache", 0755) == 0);
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
    CHECK(strstr(error.message, "cache is not private"));
    options.cache = "newest-first.toml/cache";
    GIVES(TIDELOG_IO, tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
    options.cache = "\xff";
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_wasm_load_file("newest-first.wasm", &options, &table, &error));
    is_empty(&table);
}

/* A log that wants no more lines gets none. */
static void ends_its_log(void)
{
    FILE *file = fopen("hostile", "rb");
    struct entry round = {0};
    struct lines lines;
    tidelog_wasm_options options = logged(&lines);
    tidelog_policy_table table = empty_table();
    char why[512];
    CHECK(file && next_entry(file, &round) && fclose(file) == 0);
    lines.wanted = 5;
    /* The flood. */
    WORKS(tidelog_wasm_load_file("hostile-19.wasm", &options, &table, &error));
    for (int i = 0; i < 2; i++) {
        why_of(&table, &round, why);
        CHECK(strstr(why, "stopped at its deadline") && lines.count == 5);
    }
    WORKS(tidelog_wasm_unload(&table, &error));
    free(round.bytes);
}

/* A child has no thread that would end a plan. */
static void forked(void)
{
    tidelog_policy_table table = empty_table(), other = empty_table();
    int ended = 0;
    WORKS(tidelog_wasm_load_file("newest-first.wasm", NULL, &table, &error));
    pid_t child = fork();
    if (child == 0) {
        tidelog_status status = tidelog_wasm_load_file("newest-first.wasm", NULL, &other, &error);
        table.drop(table.user);
        _exit(status == TIDELOG_FORKED && table.plan(table.user, NULL, NULL) == TIDELOG_FORKED ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &ended, 0) == child && ended == 0);
    WORKS(tidelog_wasm_unload(&table, &error));
}

int main(void)
{
    FILE *file = fopen("rounds", "rb");
    CHECK(file && next_entry(file, &round_of_three) && fclose(file) == 0);
    files();
    calls();
    from_memory();
    drops();
    cached();
    ends_its_log();
    forked();
    free(round_of_three.bytes);
    return 0;
}
