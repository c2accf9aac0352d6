/* Reads one HTTP/1.1 answer as it arrives, counts its events and checks that none is missing. */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include "common.h"

enum reading { IN_HEAD, IN_BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, COMPLETE, BROKEN };

#define TAIL 64

struct reader {
    enum reading state;
    char head[16384];
    size_t head_length;
    int status;
    bool close;           /* the connection cannot be used again */
    bool until_end;       /* the body ends with the connection */
    size_t left;          /* of the body or of the chunk */
    size_t body;          /* bytes so far, without framing */
    uint64_t events;      /* markers so far */
    bool gap;             /* an event was missing or came twice */
    int digits;           /* of a marker that is being read; -1 outside */
    char digit[MARK_DIGITS];
    char tail[TAIL];      /* the last bytes of the body */
    size_t tail_length;
};

/* Is told of every event; `written` is what the mock stamped, 0 when it did not. */
typedef void on_event(uint64_t written);

void reader_reset(struct reader *r);
/* Takes what one read brought. What follows a complete answer is a fault. */
void reader_feed(struct reader *r, const char *data, size_t length, on_event *seen);
bool reader_ends_with(const struct reader *r, const char *wanted);

#endif
