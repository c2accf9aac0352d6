/*
 * The load generator: one thread, epoll, HTTP/1.1 keep-alive, loopback only.
 *
 *     load -p PORT -f REQUEST [-c CONNECTIONS] [-w WARM] [-t SECONDS] [-r RATE] [-R RAMP] [-e EVENTS] [-b BYTES]
 *          [-E END] [-P PIDS] [-H | -N]
 *
 * REQUEST is a file with one whole HTTP request. Closed loop by default: each connection asks again as soon as its
 * answer is complete. -r makes an open loop of RATE requests a second, whose latency counts from the moment a request
 * was due. After WARM seconds (and RAMP seconds over which connections are opened) a window of SECONDS is measured.
 * -H opens the streams, prints READY once each has brought its first event, and reads on until stdin ends; -N the same
 * with clients that never read. Every answer is checked: status 200, EVENTS events in order, END in its last bytes,
 * BYTES of body. PIDS are processes whose scheduler run time (all threads) is sampled at both ends of the window.
 * The result is one line of JSON; times are microseconds.
 */
#include "answer.h"

#include <dirent.h>
#include <sys/resource.h>

enum phase { CLOSED, IDLE, ASKING, ANSWER };

struct client {
    int fd;
    enum phase phase;
    size_t sent;
    uint64_t began;
    struct reader reader;
    struct client *next_idle;
};

struct samples {
    uint32_t *at;
    size_t count, room;
};

static struct {
    int port, connections, rate;
    double warm, seconds, ramp;
    long events, bytes;
    const char *file, *end, *pids;
    bool hold, stall;
} option = {.connections = 1, .seconds = 1, .events = -1, .bytes = -1, .end = "", .pids = ""};

enum fault { CONNECT, STATUS, FRAMING, EVENTS, ENDING, BYTES, EARLY, FAULTS };
static const char *const FAULT_NAMES[FAULTS] = {"connect", "status", "framing", "events", "ending", "bytes", "early"};

static char *request;
static size_t request_length;
static struct client *clients, *idle;
static struct samples latencies, delays;
static uint64_t faults[FAULTS], answers, events, body_bytes, moment, due, missed;
static int poller, timer, begun, first_events, bad_status;
static bool measuring;

static void keep(struct samples *s, uint64_t value) {
    if (s->count == s->room) {
        if (s->room >= (1u << 24)) return;
        s->room = s->room == 0 ? 65536 : s->room * 2;
        s->at = must(realloc(s->at, s->room * sizeof *s->at));
    }
    s->at[s->count++] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_samples(const char *name, struct samples *s) {
    if (s->count == 0) {
        printf(",\"%s\":null", name);
        return;
    }
    qsort(s->at, s->count, sizeof *s->at, ascending);
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) sum += s->at[i];
    printf(",\"%s\":{\"count\":%zu,\"mean\":%.1f,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u}", name, s->count,
           sum / (double)s->count, s->at[s->count / 2], s->at[s->count * 9 / 10], s->at[s->count * 99 / 100],
           s->at[s->count - 1]);
}

/* ---- scheduler run time of processes ---- */

static uint64_t run_time_of(int pid) {
    char path[64], line[128];
    uint64_t total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL) return 0;
    for (struct dirent *each; (each = readdir(threads)) != NULL;) {
        if (each->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.10s/schedstat", pid, each->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        if (fgets(line, sizeof line, file) != NULL) total += strtoull(line, NULL, 10);
        fclose(file);
    }
    closedir(threads);
    return total;
}

/* Nanoseconds of each process of `-P a,b,c`. */
static int run_times(uint64_t *out, int room) {
    int count = 0;
    for (const char *at = option.pids; *at != 0 && count < room; count++) {
        char *stop;
        out[count] = run_time_of((int)strtol(at, &stop, 10));
        at = *stop == ',' ? stop + 1 : stop;
    }
    return count;
}

static double own_time(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* ---- clients ---- */

static void fault(enum fault kind) { faults[kind]++; }

static void watch(struct client *c, int operation, uint32_t what) {
    struct epoll_event e = {.events = what, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
}

static void hang_up(struct client *c) {
    if (c->phase == CLOSED) return;
    close(c->fd);
    c->phase = CLOSED;
}

static bool dial(struct client *c) {
    struct sockaddr_in address = loopback(option.port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (option.stall) {
        int size = 4096;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (c->fd >= 0) close(c->fd);
        fault(CONNECT);
        return false;
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    no_delay(c->fd);
    watch(c, EPOLL_CTL_ADD, option.stall ? 0 : EPOLLIN);
    c->phase = IDLE;
    return true;
}

static void send_more(struct client *c) {
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->phase = ASKING;
            return;
        }
        if (n <= 0) {
            fault(EARLY);
            hang_up(c);
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->phase == ASKING) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->phase = ANSWER;
    if (option.stall) first_events++;
}

static void ask(struct client *c, uint64_t since) {
    if (c->phase == CLOSED && !dial(c)) return;
    c->began = since;
    c->sent = 0;
    reader_reset(&c->reader);
    send_more(c);
}

static void on_marker(uint64_t written) {
    if (option.hold) first_events++;
    if (!measuring) return;
    events++;
    if (written > 0) keep(&delays, moment > written ? moment - written : 0);
}

static bool right(const struct reader *r) {
    if (r->state != COMPLETE) return fault(FRAMING), false;
    if (r->status != 200) return bad_status = r->status, fault(STATUS), false;
    if (r->gap || (option.events >= 0 && r->events != (uint64_t)option.events)) return fault(EVENTS), false;
    if (!reader_ends_with(r, option.end)) return fault(ENDING), false;
    if (option.bytes >= 0 && r->body != (size_t)option.bytes) return fault(BYTES), false;
    return true;
}

static void rest(struct client *c) {
    if (option.rate > 0) {
        c->next_idle = idle;
        idle = c;
    } else {
        ask(c, now_us());
    }
}

static void complete(struct client *c) {
    if (right(&c->reader) && measuring) {
        answers++;
        body_bytes += c->reader.body;
        keep(&latencies, moment - c->began);
    }
    if (c->reader.close || c->reader.state != COMPLETE || c->reader.status != 200) hang_up(c);
    else c->phase = IDLE;
    rest(c);
}

static void readable(struct client *c) {
    static char data[262144];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && errno == EAGAIN) return;
    moment = now_us();
    if (n <= 0) {
        bool asked = c->phase != IDLE;
        hang_up(c);
        if (!asked) return;
        if (c->reader.until_end && n == 0) c->reader.state = COMPLETE;
        else fault(EARLY), c->reader.status = 0, c->reader.state = BROKEN;
        if (c->reader.state == COMPLETE) complete(c);
        else if (faults[EARLY] < 1000) rest(c);
        return;
    }
    reader_feed(&c->reader, data, (size_t)n, on_marker);
    if (c->reader.state == COMPLETE || c->reader.state == BROKEN) complete(c);
}

/* ---- time ---- */

static uint64_t micros(double seconds) { return (uint64_t)(seconds * 1e6); }

/* Opens the connections that are due by the ramp. */
static void open_due(uint64_t start, uint64_t now) {
    while (begun < option.connections) {
        uint64_t at = start + micros(option.ramp) * (uint64_t)begun / (uint64_t)option.connections;
        if (at > now) {
            if (due == 0 || at < due) due = at;
            return;
        }
        struct client *c = &clients[begun++];
        if (option.rate > 0) c->next_idle = idle, idle = c;
        else ask(c, now);
    }
}

/* Sends the requests of an open loop that are due. */
static void send_due(uint64_t now, uint64_t *next) {
    for (; option.rate > 0 && *next <= now; *next += 1000000u / (uint64_t)option.rate) {
        struct client *c = idle;
        if (c == NULL) {
            missed++;
            continue;
        }
        idle = c->next_idle;
        ask(c, *next);
    }
    if (option.rate > 0 && (due == 0 || *next < due)) due = *next;
}

static bool poll_once(int *input) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, -1);
    for (int i = 0; i < n; i++) {
        struct client *c = ready[i].data.ptr;
        if (ready[i].data.ptr == &timer) continue;
        if (ready[i].data.ptr == input) return false;
        if (c->phase == CLOSED) continue;
        if (c->phase == ASKING && (ready[i].events & EPOLLOUT) != 0) send_more(c);
        else if (option.stall) hang_up(c);  /* nothing but an error is watched for */
        else readable(c);
    }
    return true;
}

static void run_until(uint64_t until, uint64_t start, uint64_t *next, bool *held, int *input) {
    for (uint64_t now; (now = now_us()) < until;) {
        due = until;
        open_due(start, now);
        send_due(now, next);
        if (option.hold && !*held && first_events >= option.connections) {
            *held = true;
            puts("READY");
            fflush(stdout);
        }
        arm(timer, due);
        if (!poll_once(input)) return;
    }
}

/* ---- main ---- */

/* Answers that the whole window waited for. */
static int stuck(uint64_t from) {
    int count = 0;
    for (int i = 0; i < begun; i++) count += clients[i].phase == ANSWER && clients[i].began < from;
    return count;
}

static void report(double window, const uint64_t *before, const uint64_t *after, int processes, double own,
                   int waiting) {
    uint64_t wrong = 0;
    for (int i = 0; i < FAULTS; i++) wrong += faults[i];
    printf("{\"seconds\":%.6f,\"answers\":%llu,\"events\":%llu,\"bytes\":%llu,\"missed\":%llu,\"errors\":%llu",
           window, (unsigned long long)answers, (unsigned long long)events, (unsigned long long)body_bytes,
           (unsigned long long)missed, (unsigned long long)wrong);
    printf(",\"stuck\":%d,\"status\":%d,\"faults\":{", waiting, bad_status);
    for (int i = 0; i < FAULTS; i++)
        printf("%s\"%s\":%llu", i == 0 ? "" : ",", FAULT_NAMES[i], (unsigned long long)faults[i]);
    printf("},\"own_cpu\":%.1f,\"cpu\":[", own);
    for (int i = 0; i < processes; i++) printf("%s%.1f", i == 0 ? "" : ",", (double)(after[i] - before[i]) / 1000);
    printf("]");
    print_samples("latency", &latencies);
    print_samples("delay", &delays);
    puts("}");
}

static void parse(int argc, char **argv) {
    for (int flag; (flag = getopt(argc, argv, "p:f:c:w:t:r:R:e:b:E:P:HN")) != -1;) {
        switch (flag) {
        case 'p': option.port = atoi(optarg); break;
        case 'f': option.file = optarg; break;
        case 'c': option.connections = atoi(optarg); break;
        case 'w': option.warm = atof(optarg); break;
        case 't': option.seconds = atof(optarg); break;
        case 'r': option.rate = atoi(optarg); break;
        case 'R': option.ramp = atof(optarg); break;
        case 'e': option.events = atol(optarg); break;
        case 'b': option.bytes = atol(optarg); break;
        case 'E': option.end = optarg; break;
        case 'P': option.pids = optarg; break;
        case 'H': option.hold = true; break;
        case 'N': option.hold = option.stall = true; break;
        default: exit(2);
        }
    }
    if (option.port == 0 || option.file == NULL) exit(2);
}

static void read_request(void) {
    FILE *file = fopen(option.file, "rb");
    if (file == NULL) die(option.file);
    request = must(malloc(1u << 24));
    request_length = fread(request, 1, 1u << 24, file);
    fclose(file);
}

static void set_up(int *input) {
    signal(SIGPIPE, SIG_IGN);
    read_request();
    clients = must(calloc((size_t)option.connections, sizeof *clients));
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &timer};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    if (!option.hold) return;
    struct epoll_event on_input = {.events = EPOLLIN, .data.ptr = input};
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &on_input);
}

int main(int argc, char **argv) {
    static int input;
    uint64_t before[64], after[64];
    bool held = false;
    parse(argc, argv);
    set_up(&input);
    uint64_t start = now_us(), next = start + (option.rate > 0 ? 1000u : 0);
    run_until(start + micros(option.ramp + option.warm), start, &next, &held, &input);
    int processes = run_times(before, 64);
    double own = own_time();
    uint64_t from = now_us();
    measuring = true;
    run_until(from + micros(option.seconds), start, &next, &held, &input);
    measuring = false;
    uint64_t to = now_us();
    run_times(after, 64);
    report((double)(to - from) / 1e6, before, after, processes, own_time() - own, stuck(from));
    for (int i = 0; i < begun; i++) hang_up(&clients[i]);
    return 0;
}
