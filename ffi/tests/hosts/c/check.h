/* Checks of the hosts: what does not hold ends the program, with the line it stands in. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _POSIX_C_SOURCE 199309L
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tidelog.h"

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);      \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

/* The call gives this status; its error is `error`, which says the same. */
#define GIVES(status, call)                                                                    \
    do {                                                                                       \
        tidelog_status given = (call);                                                         \
        if (given != (status)) {                                                               \
            fprintf(stderr, "%s:%d: %s gave %d (%s): %s\n", __FILE__, __LINE__, #call,         \
                    (int)given, tidelog_status_text(given), error.message);                    \
            exit(1);                                                                           \
        }                                                                                      \
        CHECK(error.code == (given < 0 ? given : 0));                                          \
        CHECK((error.message[0] != 0) == (given < 0));                                         \
    } while (0)

/* Waits for what another thread does, up to a minute. */
#define COMES(condition)                                                                       \
    do {                                                                                       \
        const struct timespec moment = {0, 5000000};                                           \
        for (int waited = 0; waited < 12000 && !(condition); waited++)                         \
            nanosleep(&moment, NULL);                                                          \
        CHECK(condition);                                                                      \
    } while (0)

#define WORKS(call) GIVES(TIDELOG_OK, call)

#endif
