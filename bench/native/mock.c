/*
 * A mock upstream for benchmarks: one thread, epoll, HTTP/1.1 keep-alive, both dialects, on 127.0.0.1.
 *
 *     mock PORT UPSTREAM_KEY CLIENT_KEY
 *
 * POST .../messages and .../chat/completions are answered by a small JSON body, or by an event stream when the body
 * asks for one. A request without UPSTREAM_KEY, or with CLIENT_KEY anywhere in its head, gets 401: a gateway must
 * rewrite the credential. GET /_control?events=N&pace=US&single=0|1&hold=0|1 says what streams look like from now on:
 *   pace=0    as fast as the socket takes it; single=1: one send per event instead of large ones
 *   pace=US   one event per US microseconds, stamped with the moment of its send
 *   hold=1    the first event, then silence
 * Ignored, and answered with shaped=0, while streams are open. GET /_stats tells counters as JSON.
 */
#include "answers.h"

enum phase { READING, WRITING };
enum mode { WHOLE, SINGLE, PACED, HELD };

struct connection {
    int fd;
    enum phase phase;
    enum mode mode;
    enum dialect dialect;
    bool streaming, control, waiting, dead, asked_out;
    char *in;
    size_t in_length, in_room;
    const char *out;
    size_t out_length;
    int next;             /* index of the event that is sent next */
    uint64_t due;
    struct connection *after;  /* in the queue of paced streams, which is sorted by `due` */
    char small[1024];
};

static struct { int events; uint64_t pace; bool single, hold; } shape = {200, 0, false, false};
static struct { long connections, requests, refused, streams, aborted, late; } counters;
static struct stream streams[2];
static struct answer batches[2];
static struct connection *queue_head, *queue_tail;
static const char *upstream_key, *client_key;
static int poller, timer;

static void proceed(struct connection *c);

static void want(struct connection *c, bool out) {
    if (c->asked_out == out) return;
    c->asked_out = out;
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void drop(struct connection *c) {
    if (c->dead) return;
    if (!c->control) counters.connections--;
    if (c->streaming) counters.streams--, counters.aborted++;
    close(c->fd);
    c->dead = true;
    if (c->waiting) return;  /* freed when the queue comes to it */
    free(c->in);
    free(c);
}

/* Sends what is outstanding; false when the socket is full or gone. */
static bool flush(struct connection *c) {
    while (c->out_length > 0) {
        ssize_t n = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            want(c, true);
            return false;
        }
        if (n <= 0) {
            drop(c);
            return false;
        }
        c->out += n;
        c->out_length -= (size_t)n;
    }
    want(c, false);
    return true;
}

static void out(struct connection *c, const char *data, size_t length) {
    c->out = data;
    c->out_length = length;
}

static void out_part(struct connection *c, size_t from, size_t to) { out(c, streams[c->dialect].data + from, to - from); }

static void enqueue(struct connection *c) {
    c->waiting = true;
    c->after = NULL;
    if (queue_tail != NULL) queue_tail->after = c;
    else queue_head = c;
    queue_tail = c;
}

/* The next event of a paced stream, stamped. */
static void out_event(struct connection *c, uint64_t now) {
    const struct stream *stream = &streams[c->dialect];
    size_t from = stream->offset[c->next], length = stream->offset[c->next + 1] - from;
    memcpy(c->small, stream->data + from, length);
    char *mark = memchr(c->small, MARK, length);
    put_digits(mark + 1 + MARK_NUMBER, now, MARK_TIME);
    c->next++;
    out(c, c->small, length);
}

static void begin_stream(struct connection *c) {
    const struct stream *stream = &streams[c->dialect];
    c->streaming = true;
    counters.streams++;
    c->next = 0;
    c->mode = shape.hold ? HELD : shape.pace > 0 ? PACED : shape.single ? SINGLE : WHOLE;
    if (c->mode == WHOLE) {
        out(c, stream->data, stream->length);
        return;
    }
    out_part(c, 0, stream->offset[0]);
    if (c->mode == PACED && !c->waiting) {
        c->due = now_us();
        enqueue(c);
    }
}

static void answer(struct connection *c, bool authorised, bool streaming) {
    static const char refusal[] =
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n"
        "{\"error\":{\"message\":\"wrong credential\"}}";
    c->phase = WRITING;
    c->mode = WHOLE;
    counters.requests++;
    if (!authorised) {
        counters.refused++;
        out(c, refusal, sizeof refusal - 1);
    } else if (streaming) {
        begin_stream(c);
    } else {
        out(c, batches[c->dialect].data, batches[c->dialect].length);
    }
}

static long parameter(const char *target, size_t length, const char *name, long otherwise) {
    const char *at = memmem(target, length, name, strlen(name));
    return at == NULL ? otherwise : atol(at + strlen(name));
}

static void control(struct connection *c, const char *target, size_t length) {
    if (!c->control) counters.connections--;
    c->control = true;
    bool shaped = counters.streams == 0;  /* open streams keep the shape they began with */
    if (shaped && memmem(target, length, "/_control", 9) != NULL) {
        shape.events = (int)parameter(target, length, "events=", 200);
        shape.pace = (uint64_t)parameter(target, length, "pace=", 0);
        shape.single = parameter(target, length, "single=", 0) != 0;
        shape.hold = parameter(target, length, "hold=", 0) != 0;
        for (int i = 0; i < 2; i++) {
            if (streams[i].events == shape.events) continue;
            free_stream(&streams[i]);
            streams[i] = build_stream((enum dialect)i, shape.events);
        }
    }
    char body[256];
    int n = snprintf(body, sizeof body,
                     "{\"connections\":%ld,\"requests\":%ld,\"refused\":%ld,\"streams\":%ld,\"aborted\":%ld,"
                     "\"late\":%ld,\"shaped\":%d,\"body\":%zu}",
                     counters.connections, counters.requests, counters.refused, counters.streams, counters.aborted,
                     counters.late, shaped, batches[0].body);
    int m = snprintf(c->small, sizeof c->small, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", n, body);
    c->phase = WRITING;
    c->mode = WHOLE;
    out(c, c->small, (size_t)m);
}

struct head {
    size_t length, body;
    bool chunked, authorised;
};

static bool is(const char *line, const char *name) { return strncasecmp(line, name, strlen(name)) == 0; }

static struct head read_head(const char *in, size_t length) {
    struct head head = {.length = length};
    for (const char *line = memchr(in, '\n', length); line != NULL && line + 1 < in + length - 2;) {
        line++;
        const char *stop = memchr(line, '\n', (size_t)(in + length - line));
        size_t size = (size_t)(stop - line);
        if (is(line, "content-length:")) head.body = (size_t)atol(line + 15);
        else if (is(line, "transfer-encoding:")) head.chunked = true;
        else if (is(line, "x-api-key:") || is(line, "authorization:"))
            head.authorised |= memmem(line, size, upstream_key, strlen(upstream_key)) != NULL;
        line = stop;
    }
    if (memmem(in, length, client_key, strlen(client_key)) != NULL) head.authorised = false;
    return head;
}

/* The length of the request that `in` begins with, 0 while it is incomplete. JSON holds no bare CR LF. */
static size_t request_length(const struct connection *c, const struct head *head) {
    size_t have = c->in_length - head->length;
    if (!head->chunked) return have >= head->body ? head->length + head->body : 0;
    const char *body = c->in + head->length;
    const char *last = have >= 5 && memcmp(body, "0\r\n\r\n", 5) == 0 ? body : memmem(body, have, "\r\n0\r\n\r\n", 7);
    if (last == NULL) return 0;
    return (size_t)(last - c->in) + (last == body ? 5 : 7);
}

static bool take_request(struct connection *c) {
    const char *stop = c->in_length == 0 ? NULL : memmem(c->in, c->in_length, "\r\n\r\n", 4);
    if (stop == NULL) return false;
    struct head head = read_head(c->in, (size_t)(stop - c->in) + 4);
    size_t length = request_length(c, &head);
    if (length == 0) return false;
    size_t line = (size_t)((char *)memchr(c->in, '\r', c->in_length) - c->in);
    if (memmem(c->in, line, " /_", 3) != NULL) {
        control(c, c->in, line);
    } else {
        const char *body = c->in + head.length;
        size_t size = length - head.length;
        c->dialect = memmem(c->in, line, "/messages", 9) != NULL ? ANTHROPIC : OPENAI;
        answer(c, head.authorised,
               memmem(body, size, "\"stream\":true", 13) != NULL || memmem(body, size, "\"stream\": true", 14) != NULL);
    }
    c->in_length -= length;
    memmove(c->in, c->in + length, c->in_length);
    return true;
}

/* Chooses what is sent next; false when the answer is complete or has to wait. */
static bool advance(struct connection *c) {
    const struct stream *stream = &streams[c->dialect];
    if (c->mode == SINGLE && c->next < stream->events) {
        out_part(c, stream->offset[c->next], stream->offset[c->next + 1]);
        c->next++;
        return true;
    }
    if (c->mode == HELD && c->next == 0) {
        out_event(c, now_us());
        return true;
    }
    if (c->mode == HELD || (c->mode == PACED && c->next < stream->events)) return false;
    if (c->mode != WHOLE) {
        c->mode = WHOLE;
        out_part(c, stream->offset[stream->events], stream->length);
        return true;
    }
    if (c->streaming) counters.streams--;
    c->streaming = false;
    c->phase = READING;
    return take_request(c);
}

static void proceed(struct connection *c) {
    while (flush(c))
        if (!advance(c)) return;
}

/* Sends every event that is due. A stream whose last event still waits for room skips its turn. */
static void tick(void) {
    uint64_t now = now_us();
    while (queue_head != NULL && (queue_head->dead || queue_head->due <= now)) {
        struct connection *c = queue_head;
        queue_head = c->after;
        if (queue_head == NULL) queue_tail = NULL;
        c->waiting = false;
        if (c->dead) {
            free(c->in);
            free(c);
            continue;
        }
        if (c->mode != PACED) continue;
        c->due += shape.pace;
        enqueue(c);
        if (c->out_length > 0) {
            counters.late++;
            continue;
        }
        now = now_us();
        out_event(c, now);
        proceed(c);
    }
    arm(timer, queue_head == NULL ? 0 : queue_head->due);
}

static void readable(struct connection *c) {
    if (c->in_room - c->in_length < 65536) {
        c->in_room = c->in_length + 131072;
        c->in = must(realloc(c->in, c->in_room));
    }
    ssize_t n = recv(c->fd, c->in + c->in_length, c->in_room - c->in_length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in_length += (size_t)n;
    if (c->phase == READING && take_request(c)) proceed(c);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        no_delay(fd);
        struct connection *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        counters.connections++;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(fd, 4096) < 0) die("listen");
    return fd;
}

static void serve(int listener) {
    struct epoll_event ready[256];
    for (;;) {
        int n = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if (ready[i].data.ptr == &timer || ready[i].data.ptr == NULL) continue;
            if ((ready[i].events & EPOLLOUT) != 0 && c->out_length > 0) proceed(c);
            else if ((ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) readable(c);
        }
        accept_all(listener);
        tick();
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: mock PORT UPSTREAM_KEY CLIENT_KEY\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    upstream_key = argv[2];
    client_key = argv[3];
    for (int i = 0; i < 2; i++) {
        streams[i] = build_stream((enum dialect)i, shape.events);
        batches[i] = build_batch((enum dialect)i);
    }
    int listener = listen_on(atoi(argv[1]));
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &timer};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &on_listen);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    puts("READY");
    fflush(stdout);
    serve(listener);
}
