/* The mock upstream's answers, built once: a small JSON body and an event stream, in both dialects. */
#ifndef BENCH_ANSWERS_H
#define BENCH_ANSWERS_H

#include "common.h"

enum dialect { ANTHROPIC, OPENAI };

/* A stream is one buffer: head and opening events, then `events` parts of one event (one HTTP chunk) each, then the end.
   Part i begins at offset[i]; offset[events] is where the end begins. */
struct stream {
    char *data;
    size_t length;
    size_t *offset;
    int events;
};

struct answer {
    char *data;
    size_t length;
    size_t body;  /* bytes of the body alone */
};

struct answer build_batch(enum dialect dialect);
struct stream build_stream(enum dialect dialect, int events);
void free_stream(struct stream *stream);

#endif
