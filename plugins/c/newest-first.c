/* Repairs everything, what is newest first: the same plans as Tidelog's built-in newest-first. */
#include "repair_policy.h"
#include <stdlib.h>

/* A stable merge sort of indices, the window that ends latest first. */
static void sort(const tidelog_policy_types_divergence_t *windows, uint32_t *order, uint32_t *spare, size_t count) {
    if (count < 2)
        return;
    size_t half = count / 2, left = 0, right = half, out = 0;
    sort(windows, order, spare, half);
    sort(windows, order + half, spare, count - half);
    while (left < half || right < count) {
        bool take_left = right == count
            || (left < half && windows[order[left]].last >= windows[order[right]].last);
        spare[out++] = order[take_left ? left++ : right++];
    }
    for (size_t at = 0; at < count; at++)
        order[at] = spare[at];
}

/* True: there is a plan. The round is ours, and goes with the instance. */
bool exports_tidelog_policy_repair_plan(
    exports_tidelog_policy_repair_round_t *round,
    exports_tidelog_policy_repair_list_step_t *plan,
    exports_tidelog_policy_repair_policy_error_t *error
) {
    (void)error;
    size_t count = round->windows.len;
    uint32_t *order = malloc(count * sizeof *order), *spare = malloc(count * sizeof *spare);
    for (size_t at = 0; at < count; at++)
        order[at] = (uint32_t)at;
    sort(round->windows.ptr, order, spare, count);
    plan->ptr = malloc(count * sizeof *plan->ptr);
    plan->len = count;
    for (size_t at = 0; at < count; at++)
        plan->ptr[at] = (tidelog_policy_types_step_t){
            .window = order[at],
            .action = {.tag = TIDELOG_POLICY_TYPES_ACTION_BOTH},
            .peer = round->peer,
        };
    return true;
}
