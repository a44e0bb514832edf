/* A child that was forked from a process with an open store is turned away, at once and by every way. */
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

static int child_ends(pid_t child)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void)
{
    tidelog_error error = {0};
    tidelog_store *store = NULL;
    tidelog_batch *batch = NULL;
    tidelog_result *result = NULL;
    struct ArrowArrayStream stream;
    uint32_t device = 0;
    pid_t child;

    /* Before the first handle a process may fork, as daemons do; version and texts are no handles. */
    CHECK(tidelog_version() && tidelog_features() < 2);
    child = fork();
    if (child == 0) {
        WORKS(tidelog_open(TIDELOG_ABI_VERSION, "daemon", NULL, &store, &error));
        WORKS(tidelog_close(&store, &error));
        _exit(7);
    }
    CHECK(child > 0 && child_ends(child) == 7);

    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    WORKS(tidelog_batch_new("a.b", &batch, &error));
    WORKS(tidelog_batch_device(batch, "d", &device, &error));
    WORKS(tidelog_batch_row(batch, device, 1, &error));
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    WORKS(tidelog_query(store, "a.b", NULL, &result, &error));
    WORKS(tidelog_result_to_arrow(&result, &stream, &error));
    child = fork();
    if (child == 0) {
        struct ArrowArray array;
        tidelog_store *other = NULL;
        GIVES(TIDELOG_FORKED, tidelog_write(store, batch, NULL, NULL, &error));
        CHECK(strstr(error.message, "fork before"));
        GIVES(TIDELOG_FORKED, tidelog_open(TIDELOG_ABI_VERSION, "other", NULL, &other, &error));
        GIVES(TIDELOG_FORKED, tidelog_batch_close(&batch, &error));
        GIVES(TIDELOG_FORKED, tidelog_close(&store, &error));
        CHECK(stream.get_next(&stream, &array) != 0 && stream.get_last_error(&stream));
        stream.release(&stream);
        CHECK(strcmp(tidelog_version(), "0.1.0") == 0);
        _exit(7);
    }
    CHECK(child > 0 && child_ends(child) == 7);

    /* The parent goes on as if nothing had been. */
    WORKS(tidelog_write(store, batch, NULL, NULL, &error));
    stream.release(&stream);
    WORKS(tidelog_batch_close(&batch, &error));
    WORKS(tidelog_close(&store, &error));
    return 0;
}
