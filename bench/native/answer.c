#include "answer.h"

void reader_reset(struct reader *r) {
    r->state = IN_HEAD;
    r->head_length = r->left = r->body = r->tail_length = 0;
    r->status = 0;
    r->close = r->until_end = r->gap = false;
    r->events = 0;
    r->digits = -1;
}

static void marker(struct reader *r, on_event *seen) {
    uint64_t number = get_digits(r->digit, MARK_NUMBER);
    r->events++;
    if (number != r->events) r->gap = true;
    r->digits = -1;
    seen(get_digits(r->digit + MARK_NUMBER, MARK_TIME));
}

/* A marker may be cut anywhere by reads, chunks and frames. */
static void scan(struct reader *r, const char *data, size_t length, on_event *seen) {
    const char *end = data + length;
    while (data < end) {
        if (r->digits < 0) {
            data = memchr(data, MARK, (size_t)(end - data));
            if (data == NULL) return;
            r->digits = 0;
            data++;
        }
        size_t missing = MARK_DIGITS - (size_t)r->digits, here = (size_t)(end - data);
        size_t taken = here < missing ? here : missing;
        memcpy(r->digit + r->digits, data, taken);
        r->digits += (int)taken;
        data += taken;
        if (r->digits == MARK_DIGITS) marker(r, seen);
    }
}

static void keep_tail(struct reader *r, const char *data, size_t length) {
    if (length >= TAIL) {
        memcpy(r->tail, data + length - TAIL, TAIL);
        r->tail_length = TAIL;
        return;
    }
    size_t kept = r->tail_length + length > TAIL ? TAIL - length : r->tail_length;
    memmove(r->tail, r->tail + r->tail_length - kept, kept);
    memcpy(r->tail + kept, data, length);
    r->tail_length = kept + length;
}

static void body(struct reader *r, const char *data, size_t length, on_event *seen) {
    r->body += length;
    scan(r, data, length, seen);
    keep_tail(r, data, length);
}

static const char *field(const struct reader *r, const char *name) {
    const char *at = strcasestr(r->head, name);
    return at == NULL ? NULL : at + strlen(name);
}

static void head_complete(struct reader *r) {
    r->status = r->head_length > 12 ? atoi(r->head + 9) : 0;
    const char *length = field(r, "\r\ncontent-length:"), *coding = field(r, "\r\ntransfer-encoding:");
    const char *connection = field(r, "\r\nconnection:");
    if (connection != NULL && strncasecmp(connection + strspn(connection, " "), "close", 5) == 0) r->close = true;
    if (coding != NULL) {
        r->state = CHUNK_SIZE;
    } else if (length != NULL) {
        r->left = strtoul(length, NULL, 10);
        r->state = r->left == 0 ? COMPLETE : IN_BODY;
    } else {
        r->until_end = r->close = true;
        r->left = SIZE_MAX;
        r->state = IN_BODY;
    }
}

static size_t take_head(struct reader *r, const char *data, size_t length) {
    size_t before = r->head_length, room = sizeof r->head - 1 - before;
    size_t taken = length < room ? length : room;
    memcpy(r->head + before, data, taken);
    r->head[before + taken] = 0;
    size_t from = before < 3 ? 0 : before - 3;
    char *stop = memmem(r->head + from, before + taken - from, "\r\n\r\n", 4);
    if (stop == NULL) {
        r->head_length += taken;
        if (r->head_length == sizeof r->head - 1) r->state = BROKEN;
        return taken;
    }
    r->head_length = (size_t)(stop - r->head) + 4;
    r->head[r->head_length] = 0;
    head_complete(r);
    return r->head_length - before;
}

static size_t take_size(struct reader *r, char byte) {
    if (byte == '\n') r->state = r->left == 0 ? TRAILER : CHUNK_DATA;
    else if (byte >= '0' && byte <= '9') r->left = r->left * 16 + (size_t)(byte - '0');
    else if ((byte | 32) >= 'a' && (byte | 32) <= 'f') r->left = r->left * 16 + (size_t)((byte | 32) - 'a' + 10);
    else if (byte != '\r') r->state = BROKEN;
    return 1;
}

static size_t take_data(struct reader *r, const char *data, size_t length, on_event *seen) {
    size_t taken = length < r->left ? length : r->left;
    body(r, data, taken, seen);
    r->left -= taken;
    if (r->left == 0) r->state = r->state == IN_BODY ? COMPLETE : CHUNK_END;
    return taken;
}

static size_t take_end(struct reader *r, char byte) {
    if (byte == '\n') {
        r->left = 0;
        r->state = CHUNK_SIZE;
    } else if (byte != '\r') {
        r->state = BROKEN;
    }
    return 1;
}

static size_t take_trailer(struct reader *r, char byte) {  /* `left` counts the bytes of a trailer's line */
    if (byte == '\n') {
        if (r->left == 0) r->state = COMPLETE;
        r->left = 0;
    } else if (byte != '\r') {
        r->left++;
    }
    return 1;
}

void reader_feed(struct reader *r, const char *data, size_t length, on_event *seen) {
    while (length > 0 && r->state != BROKEN) {
        size_t taken = 0;
        switch (r->state) {
        case IN_HEAD: taken = take_head(r, data, length); break;
        case CHUNK_SIZE: taken = take_size(r, *data); break;
        case IN_BODY:
        case CHUNK_DATA: taken = take_data(r, data, length, seen); break;
        case CHUNK_END: taken = take_end(r, *data); break;
        case TRAILER: taken = take_trailer(r, *data); break;
        case COMPLETE:
        case BROKEN: r->state = BROKEN; return;
        }
        data += taken;
        length -= taken;
    }
}

bool reader_ends_with(const struct reader *r, const char *wanted) {
    return wanted[0] == 0 || memmem(r->tail, r->tail_length, wanted, strlen(wanted)) != NULL;
}
