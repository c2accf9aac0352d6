/* What the mock upstream and the load generator share: the clock, the marker that every event carries, sockets. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The text of every answer and of every event begins with '@', seven digits (its number, from 1) and sixteen digits
   (microseconds of the monotonic clock when it was written; zero where nobody asks). '@' occurs nowhere else. */
#define MARK '@'
#define MARK_NUMBER 7
#define MARK_TIME 16
#define MARK_DIGITS (MARK_NUMBER + MARK_TIME)

static inline uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void *must(void *memory) {
    if (memory == NULL) die("out of memory");
    return memory;
}

static inline void put_digits(char *at, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value /= 10) at[i] = (char)('0' + value % 10);
}

static inline uint64_t get_digits(const char *at, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) value = value * 10 + (uint64_t)(at[i] - '0');
    return value;
}

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Arms the one-shot timer for an absolute moment of now_us(); 0 disarms. It stays readable until it is armed anew. */
static inline void arm(int timer, uint64_t at) {
    static uint64_t armed;
    if (at == armed) return;
    armed = at;
    struct itimerspec when = {0};
    when.it_value.tv_sec = (time_t)(at / 1000000u);
    when.it_value.tv_nsec = (long)(at % 1000000u) * 1000;
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
}

#endif
