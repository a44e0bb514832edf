/* The policy in C that plugins/README.md shows, as it stands there, is asked about rounds that were recorded. */
#include "wasm.h"
#include "pull_all.h"

int main(void)
{
    FILE *file = fopen("rounds", "rb");
    struct entry recorded = {0}, other = {0};
    size_t asked = 0, planned = 0;
    tidelog_policy_table table = empty_table();
    table.name = "pull-all";
    table.plan = pull_all;
    CHECK(file);
    while (next_entry(file, &recorded)) {
        tidelog_block block;
        size_t length = 0;
        char why[512];
        tidelog_result *result = replayed(&table, &recorded, &block);
        const uint8_t *plan = cell(&block, "plan", &length);
        CHECK(plan);
        planned += length > 1;
        WORKS(tidelog_result_close(&result, &error));
        /* Where the peer is not up there is nobody to pull from, and that alone may be wrong with it. */
        why_of(&table, &recorded, why);
        CHECK(!why[0] || strstr(why, "peer"));
        /* What other policies plan for it. */
        for (int i = 0; i < 6; i++)
            CHECK(next_entry(file, &other));
        asked++;
    }
    CHECK(asked > 100 && planned > 100);
    /* It takes what a node takes; here there is none. */
    CHECK(set(NULL, &error) != TIDELOG_OK);
    CHECK(fclose(file) == 0);
    free(recorded.bytes);
    free(other.bytes);
    return 0;
}
