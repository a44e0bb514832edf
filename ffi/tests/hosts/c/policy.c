/* Policies in C, asked about recorded rounds: they plan what the same ones in Rust do, and what they do wrong is found out. */
#include "policy.h"

static tidelog_error error;
static struct entry first;

static tidelog_policy_table table_of(tidelog_policy_plan_fn plan)
{
    tidelog_policy_table table = {0};
    table.struct_size = sizeof table;
    table.name = "of the host";
    table.plan = plan;
    return table;
}

static int is(const tidelog_block *block, const char *name, const struct entry *wanted)
{
    size_t length = 0;
    const uint8_t *bytes = cell(block, name, &length);
    return bytes && length == wanted->length && memcmp(bytes, wanted->bytes, length) == 0;
}

/* Each entry of the file is a round, what two policies in Rust plan for it, and what of that is carried out. */
static void equal(void)
{
    FILE *file = fopen("rounds", "rb");
    struct entry recorded = {0}, plan = {0}, carried_out = {0};
    const tidelog_policy_table tables[2] = {table_of(newest_first), table_of(echo)};
    size_t rounds = 0, steps = 0;
    CHECK(file);
    for (; next_entry(file, &recorded); rounds++)
        for (size_t i = 0; i < 2; i++) {
            tidelog_result *result = NULL;
            tidelog_block block = {0};
            block.struct_size = sizeof block;
            CHECK(next_entry(file, &plan) && next_entry(file, &carried_out));
            WORKS(tidelog_policy_replay(&tables[i], recorded.bytes, recorded.length, &result, &error));
            WORKS(tidelog_result_next(result, &block, &error));
            if (block.rows != 1 || !is(&block, "plan", &plan) || !is(&block, "carried_out", &carried_out)) {
                fprintf(stderr, "round %zu: policy %zu plans something else than in Rust\n", rounds, i);
                exit(1);
            }
            steps += plan.length / 3;
            WORKS(tidelog_result_close(&result, &error));
        }
    CHECK(rounds > 10000 && steps > 10 * rounds);
    CHECK(fclose(file) == 0);
    free(recorded.bytes);
    free(plan.bytes);
    free(carried_out.bytes);
}

/* The first round has a peer 0 that is up, with whom it is, a peer 1 that is not, and three windows. */
static int counted, dropped;
static tidelog_policy_plan *kept;

static void drop(void *user)
{
    CHECK(user == (void *)&counted);
    dropped++;
}

/* The steps of a case, and what the answer is about. */
struct told {
    tidelog_policy_step steps[4];
    size_t count;
    int32_t status, add;
    const char *explains, *why;
};

static int32_t tell(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    struct told *told = user;
    CHECK(round->struct_size >= sizeof *round && round->window_count == 3 && round->peer_count == 2);
    for (size_t i = 0; i < told->count; i++) {
        tidelog_status expected = i + 1 == told->count ? told->add : TIDELOG_OK;
        GIVES(expected, tidelog_policy_plan_add(plan, &told->steps[i], 1, sizeof *told->steps, &error));
    }
    if (told->explains)
        WORKS(tidelog_policy_plan_explain(plan, told->explains, &error));
    kept = plan;
    return told->status;
}

/* Everything is repaired, and the reason is told. */
static void falls_back(void)
{
    static struct told cases[] = {
        {{{3, 0, 3, 0, 0}}, 1, 0, 0, NULL, "the plan is not valid: step 0 names window 3 of 3"},
        {{{1, 0, 3, 0, 0}, {1, 0, 3, 0, 0}}, 2, 0, 0, NULL, "step 1 names window 1, which a step before it named"},
        {{{0, 2, 3, 0, 0}}, 1, 0, 0, NULL, "step 0 names peer 2 of 2"},
        {{{0, 1, 3, 0, 0}}, 1, 0, 0, NULL, "step 0 names peer 1, which is not connected"},
        {{{0, 0, 3, 0, 0}, {1, 0, 3, 0, 0}, {2, 0, 3, 0, 0}, {0, 0, 3, 0, 0}}, 4, 0, 0, NULL, "4 steps for 3 windows"},
        /* What could not be added makes the rest void, too. */
        {{{1, 0, 3, 0, 0}, {0, 0, 6, 0, 0}}, 2, 0, TIDELOG_INVALID_ARGUMENT, NULL, "the plan is not valid: the step for window 0 has the action 6"},
        {{{0, 0, 3, 0, 9}}, 1, 0, TIDELOG_INVALID_ARGUMENT, NULL, "does not defer"},
        {{{0, 0, 3, 1, 0}}, 1, 0, TIDELOG_UNKNOWN_OPTION, NULL, "does not know"},
        {{{0, 0, 3, 0, 0}}, 1, 77, 0, NULL, "the policy failed: it returned 77 and said no more"},
        {{{0}}, 0, -99, 0, "the file of tariffs is gone", "the policy failed: the file of tariffs is gone"},
        {{{0}}, 0, TIDELOG_UNSUPPORTED, 0, "no satellites", "the policy does not support this round: no satellites"},
        {{{0}}, 0, TIDELOG_INVALID_ARGUMENT, 0, "no clock", "the policy finds the round invalid: no clock"},
    };
    const uint8_t complete[] = {3, 0, 3, 0, 1, 3, 0, 2, 3, 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tidelog_policy_table table = table_of(tell);
        tidelog_result *result = NULL;
        tidelog_block block = {0};
        size_t length = 0;
        table.user = &cases[i];
        block.struct_size = sizeof block;
        WORKS(tidelog_policy_replay(&table, first.bytes, first.length, &result, &error));
        WORKS(tidelog_result_next(result, &block, &error));
        const char *why = (const char *)cell(&block, "why", &length);
        size_t wanted = strlen(cases[i].why), at = 0;
        while (why && at + wanted <= length && strncmp(why + at, cases[i].why, wanted) != 0)
            at++;
        if (!why || at + wanted > length) {
            fprintf(stderr, "case %zu says %.*s\n", i, why ? (int)length : 4, why ? why : "NULL");
            exit(1);
        }
        CHECK(is(&block, "carried_out", &(struct entry){(uint8_t *)complete, sizeof complete}));
        CHECK(*(const uint64_t *)(const void *)cell(&block, "overdue", &length) == 3);
        CHECK((cell(&block, "plan", &length) == NULL) == (cases[i].status != 0 || cases[i].add != 0));
        WORKS(tidelog_result_close(&result, &error));

        /* The plan is over, and its handle with it: also when another took its place. */
        GIVES(TIDELOG_INVALID_HANDLE, tidelog_policy_plan_add(kept, cases[i].steps, 1, sizeof *cases[i].steps, &error));
        CHECK(strstr(error.message, "the policy plan was closed before"));
        GIVES(TIDELOG_INVALID_HANDLE, tidelog_policy_plan_explain(kept, "late", &error));
    }
}

static int32_t other_plan(void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan)
{
    static const tidelog_policy_step steps[WINDOWS_MAX + 1];
    (void)user, (void)round;
    CHECK(plan != kept);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_policy_plan_add(kept, steps, 1, sizeof *steps, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_flush((tidelog_store *)(void *)plan, &error));
    CHECK(strstr(error.message, "is a policy plan, not a store"));
    GIVES(TIDELOG_LIMIT, tidelog_policy_plan_add(plan, steps, WINDOWS_MAX + 1, sizeof *steps, &error));
    GIVES(TIDELOG_LIMIT, tidelog_policy_plan_add(plan, steps, SIZE_MAX, SIZE_MAX, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_plan_add(plan, NULL, 1, sizeof *steps, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_plan_add(plan, steps, 1, 0, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_plan_explain(plan, NULL, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_plan_explain(plan, "\xff", &error));
    WORKS(tidelog_policy_plan_add(plan, NULL, 0, 0, &error));
    counted++;
    return TIDELOG_OK;
}

static void wrong_calls(void)
{
    struct { tidelog_policy_table table; uint64_t later[2]; } newer;
    tidelog_policy_table table = table_of(other_plan);
    tidelog_result *result = NULL;
    static const uint32_t sizes[] = {0, 7, 4097, UINT32_MAX};
#define REFUSED(expected, says)                                                                    \
    GIVES(expected, tidelog_policy_replay(&table, first.bytes, first.length, &result, &error));     \
    CHECK(result == NULL && strstr(error.message, says));                                           \
    table = table_of(other_plan)
    WORKS(tidelog_policy_replay(&table, first.bytes, first.length, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    CHECK(counted == 1);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_policy_plan_add(NULL, NULL, 0, 0, &error));
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_policy_plan_explain((tidelog_policy_plan *)(void *)&table, "x", &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_replay(NULL, first.bytes, first.length, &result, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_replay(&table, first.bytes, first.length, NULL, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_replay(&table, NULL, 1, &result, &error));
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_replay(&table, first.bytes, 0, &result, &error));
    for (size_t length = 0; length < first.length; length++)
        GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_policy_replay(&table, first.bytes, length, &result, &error));
    CHECK(strstr(error.message, "recorded is no round"));
    table.name = NULL;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "the name of a policy is NULL");
    table.name = "";
    REFUSED(TIDELOG_INVALID_ARGUMENT, "the name of a policy is empty");
    table.plan = NULL;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "plan is NULL");
    table.options_length = 1;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "options is NULL");
    table.timeout_ms = 9;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "timeout_ms is 9");
    table.timeout_ms = 10001;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "timeout_ms is 10001");
    table.max_deferral_ms = 999;
    REFUSED(TIDELOG_INVALID_ARGUMENT, "max_deferral_ms is 999");
    table.reserved = 1;
    REFUSED(TIDELOG_UNKNOWN_OPTION, "tidelog_policy_table");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        table.struct_size = sizes[i];
        REFUSED(TIDELOG_INVALID_ARGUMENT, "sizeof(tidelog_policy_table)");
    }
    memset(&newer, 0, sizeof newer);
    newer.table = table;
    newer.table.struct_size = sizeof newer;
    WORKS(tidelog_policy_replay(&newer.table, first.bytes, first.length, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    newer.later[1] = 1;
    GIVES(TIDELOG_UNKNOWN_OPTION, tidelog_policy_replay(&newer.table, first.bytes, first.length, &result, &error));

    /* Without a node the policy is let go of. */
    table.user = (void *)&counted;
    table.drop = drop;
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_node_set_policy(NULL, &table, &error));
    CHECK(dropped == 1);
    table.name = NULL;
    GIVES(TIDELOG_INVALID_ARGUMENT, tidelog_node_set_policy(NULL, &table, &error));
    CHECK(dropped == 2);
    GIVES(TIDELOG_INVALID_HANDLE, tidelog_node_set_policy(NULL, NULL, &error));
    WORKS(tidelog_policy_replay(&(tidelog_policy_table){sizeof table, 0, "x", other_plan, drop, NULL, NULL, 0, 0, 0, 0, NULL, NULL},
                                first.bytes, first.length, &result, &error));
    WORKS(tidelog_result_close(&result, &error));
    CHECK(dropped == 2);
}

int main(void)
{
    FILE *file = fopen("first", "rb");
    CHECK(file && next_entry(file, &first));
    CHECK(fclose(file) == 0);
    equal();
    falls_back();
    wrong_calls();
    free(first.bytes);
    return 0;
}
