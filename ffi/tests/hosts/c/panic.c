/* Calls one function, in which a panic waits: it has to come back as a status. */
#include "check.h"

tidelog_status call(const char *name, tidelog_error *error);

int main(int count, char **arguments)
{
    tidelog_error error = {0};
    CHECK(count == 3);
    tidelog_status status = call(arguments[1], &error);
    if (strcmp(arguments[2], "status") == 0) {
        CHECK(status == TIDELOG_PANIC);
        CHECK(error.code == TIDELOG_PANIC && error.kind == TIDELOG_KIND_BUG);
        CHECK(strstr(error.message, arguments[1]) && strstr(error.message, "a test asked for it"));
    } else {
        CHECK(status == TIDELOG_OK);
    }
    return 0;
}
