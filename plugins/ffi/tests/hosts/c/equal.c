/* Components in a host in C, asked about recorded rounds: they plan what they plan in Rust, and those that misbehave are stopped in the same way. */
#include "wasm.h"

static int is(const tidelog_block *block, const char *name, const struct entry *wanted)
{
    size_t length = 0;
    const uint8_t *bytes = cell(block, name, &length);
    return bytes && length == wanted->length && memcmp(bytes, wanted->bytes, length) == 0;
}

/* Each entry of the file is a round, what three policies plan for it in Rust, and what of that is carried out. */
static void equal(void)
{
    static const char *const files[3] = {"metered-uplink.wasm", "freshness-budget.wasm", "newest-first.wasm"};
    tidelog_policy_table tables[3];
    FILE *file = fopen("rounds", "rb");
    struct entry recorded = {0}, plan = {0}, carried_out = {0};
    size_t rounds = 0, steps = 0;
    CHECK(file);
    for (size_t i = 0; i < 3; i++) {
        tables[i] = empty_table();
        WORKS(tidelog_wasm_load_file(files[i], NULL, &tables[i], &error));
        CHECK(strncmp(tables[i].name, files[i], strlen(tables[i].name)) == 0 && tables[i].options_length == 32);
    }
    CHECK(memcmp(tables[0].options, tables[1].options, 32) != 0);
    for (; next_entry(file, &recorded); rounds++)
        for (size_t i = 0; i < 3; i++) {
            tidelog_block block;
            tidelog_result *result = replayed(&tables[i], &recorded, &block);
            CHECK(next_entry(file, &plan) && next_entry(file, &carried_out));
            if (!is(&block, "plan", &plan) || !is(&block, "carried_out", &carried_out)) {
                fprintf(stderr, "round %zu: %s plans something else than in Rust\n", rounds, files[i]);
                exit(1);
            }
            steps += plan.length / 3;
            WORKS(tidelog_result_close(&result, &error));
        }
    CHECK(rounds > 1000 && steps > 10 * rounds);
    CHECK(fclose(file) == 0);
    for (size_t i = 0; i < 3; i++)
        WORKS(tidelog_wasm_unload(&tables[i], &error));
    free(recorded.bytes);
    free(plan.bytes);
    free(carried_out.bytes);
}

/* A policy that traps, runs on, wants more memory or answers nonsense loses the round, for the reason it has in Rust. */
static void hostile(void)
{
    FILE *file = fopen("hostile", "rb");
    struct entry round = {0}, text = {0};
    int number = 0, floods = 0;
    CHECK(file && next_entry(file, &round));
    for (; next_entry(file, &text); number++) {
        struct lines lines;
        tidelog_wasm_options options = logged(&lines);
        tidelog_policy_table table = empty_table();
        char path[32], why[512];
        snprintf(path, sizeof path, "hostile-%d.wasm", number);
        WORKS(tidelog_wasm_load_file(path, &options, &table, &error));
        text.bytes[text.length] = 0;
        why_of(&table, &round, why);
        if (strncmp(why, "the policy failed: ", 19) != 0 || !strstr(why, (const char *)text.bytes)) {
            fprintf(stderr, "%s says %s, and in Rust %s\n", path, why, (const char *)text.bytes);
            exit(1);
        }
        /* 32 lines of the flood are heard, and how many there were. */
        if (lines.count > 1) {
            CHECK(lines.count == 33 && lines.lost > 0 && lines.level == TIDELOG_LOG_WARN);
            CHECK(strncmp(lines.target, path, strlen(lines.target)) == 0);
            floods++;
        }
        CHECK(lines.dropped == 0);
        WORKS(tidelog_wasm_unload(&table, &error));
        CHECK(lines.dropped == 1);
    }
    CHECK(number == 22 && floods == 1);
    CHECK(fclose(file) == 0);
    free(round.bytes);
    free(text.bytes);
}

int main(void)
{
    equal();
    hostile();
    CHECK(strcmp(tidelog_wasm_version(), tidelog_version()) == 0);
    return 0;
}
