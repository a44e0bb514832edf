/* Calls one function, in which a panic waits: it has to come back as a status, and a plan is lost. */
#include "wasm.h"

int main(int count, char **arguments)
{
    const char *function = arguments[1];
    tidelog_policy_table table = empty_table();
    FILE *file = fopen("rounds", "rb");
    struct entry round = {0};
    char why[512];
    CHECK(count == 2 && file && next_entry(file, &round) && fclose(file) == 0);
    if (strcmp(function, "tidelog_wasm_load_with") == 0) {
        GIVES(TIDELOG_PANIC, tidelog_wasm_load(NULL, 0, "", NULL, &table, &error));
    } else if (strcmp(function, "tidelog_wasm_load_file_with") == 0) {
        GIVES(TIDELOG_PANIC, tidelog_wasm_load_file("newest-first.wasm", NULL, &table, &error));
    } else {
        WORKS(tidelog_wasm_load_file("newest-first.wasm", NULL, &table, &error));
        why_of(&table, &round, why);
        if (strcmp(function, "tidelog_wasm_plan") == 0)
            CHECK(strstr(why, "it returned -5"));
        else if (strcmp(function, "tidelog_wasm_plan_round") == 0)
            CHECK(strstr(why, "a test asked for it") && strstr(why, "report it"));
        else
            CHECK(!*why);
        if (strcmp(function, "tidelog_wasm_drop") == 0)
            table.drop(table.user);
        else if (strcmp(function, "tidelog_wasm_unload") == 0)
            GIVES(TIDELOG_PANIC, tidelog_wasm_unload(&table, &error));
    }
    if (error.code == TIDELOG_PANIC)
        CHECK(error.kind == TIDELOG_KIND_BUG && strstr(error.message, function) && strstr(error.message, "a test asked for it"));
    free(round.bytes);
    return 0;
}
