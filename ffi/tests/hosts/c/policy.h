/* Policies in C, and the entries of the file that a test in Rust wrote for them. */
#ifndef POLICY_H
#define POLICY_H

#include "check.h"

#define WINDOWS_MAX 1000

static inline const tidelog_policy_window *window_at(const tidelog_policy_round *round, size_t at)
{
    return (const void *)((const char *)round->windows + at * round->window_stride);
}

static inline const tidelog_policy_peer *peer_at(const tidelog_policy_round *round, size_t at)
{
    return (const void *)((const char *)round->peers + at * round->peer_stride);
}

/* A stable merge sort of indices, the window that ends latest first. */
static inline void sort(const tidelog_policy_round *round, uint32_t *order, uint32_t *spare, size_t count)
{
    size_t half = count / 2, left = 0, right = half, out = 0;
    if (count < 2)
        return;
    sort(round, order, spare, half);
    sort(round, order + half, spare, count - half);
    while (left < half || right < count) {
        int take_left = right == count
            || (left < half && window_at(round, order[left])->last_ns >= window_at(round, order[right])->last_ns);
        spare[out++] = order[take_left ? left++ : right++];
    }
    memcpy(order, spare, count * sizeof *order);
}

/* Repairs everything, what is newest first. */
static inline int32_t newest_first(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    uint32_t order[WINDOWS_MAX], spare[WINDOWS_MAX];
    tidelog_policy_step steps[WINDOWS_MAX];
    (void)user;
    for (size_t at = 0; at < round->window_count; at++)
        order[at] = (uint32_t)at;
    sort(round, order, spare, round->window_count);
    for (size_t at = 0; at < round->window_count; at++)
        steps[at] = (tidelog_policy_step){order[at], round->peer, TIDELOG_ACTION_BOTH, 0, 0};
    return tidelog_policy_plan_add(plan, steps, round->window_count, sizeof *steps, NULL);
}

static inline uint64_t mix(uint64_t hash, uint64_t number)
{
    return (hash ^ number) * UINT64_C(0x100000001b3);
}

/* Puts all that it is told into its plan: a field that does not come as it went is seen. */
static inline int32_t echo(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    (void)user;
    hash = mix(mix(mix(mix(hash, round->now_ms), round->peer), round->budget_bytes), round->max_deferral_ms);
    for (size_t at = 0; at < round->peer_count; at++) {
        const tidelog_policy_peer *peer = peer_at(round, at);
        for (size_t i = 0; i < sizeof peer->store_id; i++)
            hash = mix(hash, peer->store_id[i]);
        hash = mix(mix(mix(mix(mix(hash, peer->up), peer->cost), peer->rtt_us), peer->lag_ms), peer->agreed_ms_ago);
        CHECK(peer->reserved == 0);
    }
    for (size_t at = 0; at < round->window_count; at++) {
        const tidelog_policy_window *window = window_at(round, at);
        static const uint32_t actions[] = {TIDELOG_ACTION_DEFER, TIDELOG_ACTION_PULL, TIDELOG_ACTION_DEFER, TIDELOG_ACTION_PUSH,
                                           TIDELOG_ACTION_DEFER, TIDELOG_ACTION_SKIP, TIDELOG_ACTION_DEFER, TIDELOG_ACTION_ROLLUPS};
        for (const char *c = window->collection; *c; c++)
            hash = mix(hash, (unsigned char)*c);
        hash = mix(mix(hash, window->group), window->devices);
        hash = mix(mix(hash, (uint64_t)window->first_ns), (uint64_t)window->last_ns);
        hash = mix(mix(hash, window->ours.rows), window->ours.bytes);
        hash = mix(mix(hash, window->theirs.rows), window->theirs.bytes);
        hash = mix(mix(hash, window->age_ms), window->borrowed);
        CHECK(window->reserved == 0);
        tidelog_policy_step step = {(uint32_t)at, (uint32_t)(at % round->peer_count), actions[hash % 8], 0, 0};
        if (step.action == TIDELOG_ACTION_DEFER)
            step.until_ms = hash;
        tidelog_status status = tidelog_policy_plan_add(plan, &step, 1, sizeof step, NULL);
        if (status != TIDELOG_OK)
            return status;
    }
    return TIDELOG_OK;
}

/* Bytes of the file: a length, little-endian, then as many bytes. */
struct entry {
    uint8_t *bytes;
    size_t length;
};

static inline int next_entry(FILE *file, struct entry *entry)
{
    uint8_t head[4];
    if (fread(head, 1, 4, file) != 4)
        return 0;
    entry->length = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    entry->bytes = realloc(entry->bytes, entry->length + 1);
    CHECK(entry->bytes && fread(entry->bytes, 1, entry->length, file) == entry->length);
    return 1;
}

/* What a row has in a column: its bytes, NULL when they are absent. */
static inline const uint8_t *cell(const tidelog_block *block, const char *name, size_t *length)
{
    for (size_t i = 0; i < block->column_count; i++) {
        const tidelog_column *column = (const void *)((const char *)block->columns + i * block->column_stride);
        if (strcmp(column->name, name) != 0)
            continue;
        if (column->validity && !(column->validity[0] & 1))
            return NULL;
        *length = column->ends ? column->ends[0] : 8;
        return column->values;
    }
    CHECK(!"no such column");
    return NULL;
}

#endif
