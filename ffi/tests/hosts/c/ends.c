/* Callbacks that are set, replaced and ended from several threads at once: each is dropped once, and by the time that whoever ends them returns. */
#include <pthread.h>
#include "check.h"

#define HOOKS 300
#define ROUNDS 3
#define LISTENERS 4000

static tidelog_error error;
static tidelog_node *node;

/* Slow, so that one that nobody waits for is seen. */
static void ended(void *user)
{
    const struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
    ++*(_Atomic int *)user;
}

static int32_t line(void *user, const tidelog_log_record *record)
{
    (void)user;
    CHECK(record->struct_size >= sizeof *record);
    return 0;
}

static pthread_barrier_t both;

static void *sets(void *user)
{
    pthread_barrier_wait(&both);
    CHECK(tidelog_log_set(TIDELOG_LOG_TRACE, line, user, ended, NULL) == TIDELOG_OK);
    return NULL;
}

static void hooks_of_two_threads(void)
{
    CHECK(pthread_barrier_init(&both, NULL, 2) == 0);
    for (int round = 0; round < HOOKS; round++) {
        _Atomic int hooks[2] = {0, 0};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&threads[i], NULL, sets, (void *)&hooks[i]) == 0);
        for (int i = 0; i < 2; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        WORKS(tidelog_log_set(0, NULL, NULL, NULL, &error));
        CHECK(hooks[0] == 1 && hooks[1] == 1);
    }
}

static int32_t heard(void *user, const tidelog_event *event)
{
    (void)user;
    CHECK(event->struct_size >= sizeof *event);
    return 0;
}

static _Atomic int stopped;
static pthread_t listening;

/* On a thread of the library's it comes before the stop returns; of a call that is refused later it comes on that call's own thread.
   Slower than a stop, so that one that is not waited for is seen. */
static void ended_before_the_stop(void *user)
{
    const struct timespec moment = {0, 400000000};
    nanosleep(&moment, NULL);
    CHECK(!stopped || pthread_equal(pthread_self(), listening));
    ++*(_Atomic int *)user;
}

static void *stops(void *user)
{
    const struct timespec moment = {0, 2000000};
    (void)user;
    nanosleep(&moment, NULL);
    CHECK(tidelog_node_stop(&node, NULL) == TIDELOG_OK);
    stopped = 1;
    return NULL;
}

static void listeners_of_a_node_that_stops(void)
{
    static _Atomic int listeners[LISTENERS];
    const struct timespec moment = {0, 100000};
    tidelog_store *store = NULL;
    tidelog_node_options options = {0};
    if (!(tidelog_features() & TIDELOG_FEATURE_REPLICATION))
        return;
    WORKS(tidelog_open(TIDELOG_ABI_VERSION, "store", NULL, &store, &error));
    WORKS(tidelog_identity_create(store, "identity", 0, NULL, 0, &error));
    options.struct_size = sizeof options;
    options.listen = "127.0.0.1:0";
    options.identity = "identity";
    listening = pthread_self();
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t stopping;
        tidelog_status status = TIDELOG_OK;
        int calls = 0;
        memset((void *)listeners, 0, sizeof listeners);
        stopped = 0;
        WORKS(tidelog_node_start(store, &options, &node, &error));
        tidelog_node *running = node;
        CHECK(pthread_create(&stopping, NULL, stops, NULL) == 0);
        while (status == TIDELOG_OK && calls < LISTENERS) {
            status = tidelog_node_on_event(running, heard, (void *)&listeners[calls++], ended_before_the_stop, NULL);
            nanosleep(&moment, NULL);
        }
        CHECK(pthread_join(stopping, NULL) == 0 && node == NULL);
        CHECK(status == TIDELOG_CLOSED || status == TIDELOG_INVALID_HANDLE);
        for (int i = 0; i < calls; i++)
            CHECK(listeners[i] == 1);
    }
    WORKS(tidelog_close(&store, &error));
}

int main(void)
{
    hooks_of_two_threads();
    listeners_of_a_node_that_stops();
    return 0;
}
