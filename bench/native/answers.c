#include "answers.h"

#include <stdarg.h>

#define EVENT_BYTES_ANTHROPIC 147
#define EVENT_BYTES_OPENAI 201
#define BODY_BYTES 1498

/* Eleven headers, as many and as long as vendors send. */
static const char VENDOR[] =
    "date: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
    "server: bench\r\n"
    "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
    "x-log-id: 20261122100000a1b2c3d4e5f6071829\r\n"
    "x-request-id: 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\r\n"
    "x-process-time: 0.0123\r\n"
    "x-ratelimit-limit-requests: 1000\r\n"
    "x-ratelimit-remaining-requests: 999\r\n"
    "strict-transport-security: max-age=31536000; includeSubDomains\r\n"
    "set-cookie: acw_tc=0a1b2c3d4e5f60718293a4b5c6d7e8f9; path=/; HttpOnly; Max-Age=1800\r\n"
    "cache-control: no-cache\r\n";

static const char FILLER[] =
    "The quick brown fox jumps over the lazy dog while seventeen patient engineers count microseconds. ";

struct buffer {
    char *data;
    size_t length, room;
};

static void put(struct buffer *to, const char *data, size_t length) {
    if (to->length + length > to->room) {
        to->room = (to->length + length) * 2;
        to->data = must(realloc(to->data, to->room));
    }
    memcpy(to->data + to->length, data, length);
    to->length += length;
}

static void putf(struct buffer *to, const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(to, text, (size_t)length);
}

/* One HTTP chunk that holds `text`. */
static void chunk(struct buffer *to, const char *text) { putf(to, "%zx\r\n%s\r\n", strlen(text), text); }

/* The marker of event `number`, then words up to `length` bytes. */
static void words(char *out, int number, size_t length) {
    out[0] = MARK;
    put_digits(out + 1, (uint64_t)number, MARK_NUMBER);
    put_digits(out + 1 + MARK_NUMBER, 0, MARK_TIME);
    for (size_t i = 1 + MARK_DIGITS; i < length; i++) out[i] = FILLER[(i - 1 - MARK_DIGITS) % (sizeof FILLER - 1)];
    out[length] = 0;
}

static int event_text(char *out, size_t room, enum dialect dialect, const char *text) {
    if (dialect == ANTHROPIC)
        return snprintf(out, room,
                        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                        "{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", text);
    return snprintf(out, room,
                    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                    "\"model\":\"glm-4.6\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},"
                    "\"finish_reason\":null}]}\n\n", text);
}

static void event(struct buffer *to, enum dialect dialect, int number) {
    size_t wanted = dialect == ANTHROPIC ? EVENT_BYTES_ANTHROPIC : EVENT_BYTES_OPENAI;
    char text[256], line[512];
    int frame = event_text(line, sizeof line, dialect, "");
    words(text, number, wanted - (size_t)frame);
    event_text(line, sizeof line, dialect, text);
    chunk(to, line);
}

static void begin(struct buffer *to, enum dialect dialect) {
    putf(to, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%s\r\n", VENDOR);
    if (dialect == ANTHROPIC) {
        chunk(to, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":"
                  "\"message\",\"role\":\"assistant\",\"model\":\"glm-4.6\",\"content\":[],\"stop_reason\":null,"
                  "\"stop_sequence\":null,\"usage\":{\"input_tokens\":42,\"output_tokens\":0}}}\n\n");
        chunk(to, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                  "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    } else {
        chunk(to, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                  "\"model\":\"glm-4.6\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                  "\"finish_reason\":null}]}\n\n");
    }
}

static void end(struct buffer *to, enum dialect dialect) {
    if (dialect == ANTHROPIC) {
        chunk(to, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
        chunk(to, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                  "\"stop_sequence\":null},\"usage\":{\"input_tokens\":42,\"output_tokens\":200}}\n\n");
        chunk(to, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    } else {
        chunk(to, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                  "\"model\":\"glm-4.6\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
        chunk(to, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                  "\"model\":\"glm-4.6\",\"choices\":[],\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":200,"
                  "\"total_tokens\":242}}\n\n");
        chunk(to, "data: [DONE]\n\n");
    }
    put(to, "0\r\n\r\n", 5);
}

struct stream build_stream(enum dialect dialect, int events) {
    struct buffer to = {0};
    struct stream stream = {.events = events};
    stream.offset = must(malloc(sizeof(size_t) * (size_t)(events + 1)));
    begin(&to, dialect);
    for (int i = 0; i < events; i++) {
        stream.offset[i] = to.length;
        event(&to, dialect, i + 1);
    }
    stream.offset[events] = to.length;
    end(&to, dialect);
    stream.data = to.data;
    stream.length = to.length;
    return stream;
}

void free_stream(struct stream *stream) {
    free(stream->data);
    free(stream->offset);
}

static int batch_text(char *out, size_t room, enum dialect dialect, const char *text) {
    if (dialect == ANTHROPIC)
        return snprintf(out, room,
                        "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"glm-4.6\","
                        "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\","
                        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":42,\"output_tokens\":200}}", text);
    return snprintf(out, room,
                    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1795000000,\"model\":"
                    "\"glm-4.6\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
                    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":200,"
                    "\"total_tokens\":242}}", text);
}

struct answer build_batch(enum dialect dialect) {
    struct buffer to = {0};
    char text[BODY_BYTES + 1], body[2 * BODY_BYTES + 1];
    int frame = batch_text(body, sizeof body, dialect, "");
    words(text, 1, BODY_BYTES - (size_t)frame);
    batch_text(body, sizeof body, dialect, text);
    putf(&to, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n", BODY_BYTES, VENDOR);
    put(&to, body, BODY_BYTES);
    return (struct answer){to.data, to.length, BODY_BYTES};
}
