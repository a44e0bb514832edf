/* What hosts of components have in common. */
#ifndef WASM_H
#define WASM_H

#include "policy.h"
#include "tidelog_wasm.h"

static tidelog_error error;

static inline tidelog_policy_table empty_table(void)
{
    tidelog_policy_table table = {0};
    table.struct_size = sizeof table;
    return table;
}

/* The lines that a policy wrote, and whether its log was let go of. */
struct lines {
    int count, dropped, wanted;
    uint64_t lost;
    uint32_t level;
    char target[64], first[512], last[512];
};

static inline int32_t heard(void *user, const tidelog_log_record *record)
{
    struct lines *lines = user;
    char *text = lines->count++ ? lines->last : lines->first;
    CHECK(record->struct_size >= sizeof *record && record->message.length < sizeof lines->last);
    snprintf(lines->target, sizeof lines->target, "%.*s", (int)record->target.length, record->target.data);
    snprintf(text, sizeof lines->last, "%.*s", (int)record->message.length, record->message.data);
    lines->lost += record->lost;
    lines->level = record->level;
    return lines->wanted && lines->count >= lines->wanted;
}

static inline void unheard(void *user)
{
    ((struct lines *)user)->dropped++;
}

static inline tidelog_wasm_options logged(struct lines *lines)
{
    tidelog_wasm_options options = {0};
    memset(lines, 0, sizeof *lines);
    options.struct_size = sizeof options;
    options.log = heard;
    options.log_user = lines;
    options.log_drop = unheard;
    return options;
}

/* Asks a policy about a round; the block is good until the result is closed. */
static inline tidelog_result *replayed(const tidelog_policy_table *table, const struct entry *round, tidelog_block *block)
{
    tidelog_result *result = NULL;
    memset(block, 0, sizeof *block);
    block->struct_size = sizeof *block;
    WORKS(tidelog_policy_replay(table, round->bytes, round->length, &result, &error));
    WORKS(tidelog_result_next(result, block, &error));
    CHECK(block->rows == 1);
    return result;
}

/* Why a policy has no plan for a round; empty when it has one. */
static inline void why_of(const tidelog_policy_table *table, const struct entry *round, char why[512])
{
    tidelog_block block;
    size_t length = 0;
    tidelog_result *result = replayed(table, round, &block);
    const uint8_t *bytes = cell(&block, "why", &length);
    snprintf(why, 512, "%.*s", bytes ? (int)length : 0, bytes ? (const char *)bytes : "");
    WORKS(tidelog_result_close(&result, &error));
}

#endif
