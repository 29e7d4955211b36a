/* What the machine can do at best: the same bytes moved by as little code as possible.
 *
 * The functions for sockets open them, do their work, and return 0 or a negative errno.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    LARGEST_MESSAGE = 65000, /* bytes that UDP_SEGMENT splits; IP allows not much more */
    MOST_SEGMENTS = 64,      /* UDP_MAX_SEGMENTS of older kernels */
    MESSAGES = 8,            /* taken in one call */
    MESSAGE_BUFFER = 65536,
    HEAP = 1 << 20,          /* memory that payload is copied to, over and over: so it stays in the caches */
    WINDOW = 2 << 20,        /* bytes of datagrams under way: what stays in the caches is twice as fast */
    PATIENCE = 5,            /* seconds without a datagram after which some are taken to be lost */
    SENT_PIECE = 64 << 10,   /* through a connection in one call: pieces and buffers that stay in the caches are … */
    TAKEN_PIECE = 128 << 10, /* … nearly twice as fast as large ones */
    STREAM_BUFFER = 512 << 10,
};

/* Copy so many bytes that often. */
void limit_memcpy(void *target, const void *source, size_t nbytes, long times) {
    for (long i = 0; i < times; i++) {
        memcpy(target, source, nbytes);
        __asm__ volatile("" : : "r"(target) : "memory"); /* the copy counts as used */
    }
}

struct receiving {
    int socket;
    size_t wanted;
    atomic_size_t received;
    atomic_int error;
};

static void *receive_datagrams(void *argument) {
    struct receiving *state = argument;
    char *buffers = malloc((size_t)MESSAGES * MESSAGE_BUFFER), *heap = malloc(HEAP);
    struct mmsghdr messages[MESSAGES];
    struct iovec parts[MESSAGES];
    size_t offset = 0;
    if (!buffers || !heap)
        state->error = -ENOMEM;
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < MESSAGES; i++) {
        parts[i] = (struct iovec){buffers + (size_t)i * MESSAGE_BUFFER, MESSAGE_BUFFER};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (!state->error && state->received < state->wanted) {
        int count = recvmmsg(state->socket, messages, MESSAGES, MSG_WAITFORONE, NULL);
        if (count < 0 && errno != EINTR)
            state->error = -errno; /* EAGAIN: patience is over */
        for (int i = 0; i < count; i++) {
            size_t length = messages[i].msg_len;
            if (offset + length > HEAP)
                offset = 0;
            memcpy(heap + offset, parts[i].iov_base, length);
            offset += length;
            state->received += length;
        }
    }
    free(buffers);
    free(heap);
    return NULL;
}

static int send_datagrams(struct receiving *state, int socket, size_t segment, size_t window) {
    size_t segments = LARGEST_MESSAGE / segment < MOST_SEGMENTS ? LARGEST_MESSAGE / segment : MOST_SEGMENTS;
    size_t sent = 0;
    char *message = calloc(segments, segment);
    int result = message ? 0 : -ENOMEM;
    while (result == 0 && sent < state->wanted) {
        while (sent - state->received > window && !state->error)
            sched_yield();
        if (state->error)
            break;
        size_t left = state->wanted - sent;
        ssize_t count = send(socket, message, left < segments * segment ? left : segments * segment, 0);
        if (count < 0)
            result = -errno;
        else
            sent += (size_t)count;
    }
    free(message);
    return result;
}

static void set_size(int socket, int forced, int ordinary, int size) {
    if (setsockopt(socket, SOL_SOCKET, forced, &size, sizeof size)) /* only root may force it */
        setsockopt(socket, SOL_SOCKET, ordinary, &size, sizeof size);
}

static int bind_loopback(int socket, struct sockaddr_in *address) {
    socklen_t length = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(socket, (struct sockaddr *)address, length) || getsockname(socket, (struct sockaddr *)address, &length))
        return -errno;
    return 0;
}

/* One thread sends, the other receives; whichever failed first says why. */
static int carry(struct receiving *state, void *(*receive)(void *), int socket, size_t segment, size_t window,
                 int (*send)(struct receiving *, int, size_t, size_t)) {
    pthread_t thread;
    int result = -pthread_create(&thread, NULL, receive, state);
    if (result)
        return result;
    result = send(state, socket, segment, window);
    if (result)
        state->error = result;
    pthread_join(thread, NULL);
    return state->error;
}

/* Send `count` datagrams of `segment` bytes through UDP_SEGMENT, and receive them through UDP_GRO. */
int limit_udp(size_t segment, long count) {
    int source = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), target = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int on = 1, size = (int)segment, buffer = 0;
    socklen_t length = sizeof buffer;
    struct timeval patience = {PATIENCE, 0};
    struct sockaddr_in address;
    set_size(target, SO_RCVBUFFORCE, SO_RCVBUF, 64 << 20);
    set_size(source, SO_SNDBUFFORCE, SO_SNDBUF, 4 << 20);
    getsockopt(target, SOL_SOCKET, SO_RCVBUF, &buffer, &length);
    int result = bind_loopback(target, &address);
    if (result == 0 && (setsockopt(target, IPPROTO_UDP, UDP_GRO, &on, sizeof on) ||
                        setsockopt(target, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
                        connect(source, (struct sockaddr *)&address, sizeof address) ||
                        setsockopt(source, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size)))
        result = -errno;
    if (result == 0) {
        struct receiving state = {.socket = target, .wanted = segment * (size_t)count};
        /* The kernel counts its own overhead, too, against the size of the buffer. */
        size_t window = buffer / 6 < WINDOW ? (size_t)buffer / 6 : WINDOW;
        result = carry(&state, receive_datagrams, source, segment, window, send_datagrams);
    }
    close(source);
    close(target);
    return result;
}

static void *receive_bytes(void *argument) {
    struct receiving *state = argument;
    char *heap = malloc(HEAP);
    int connection = accept(state->socket, NULL, NULL);
    if (connection < 0 || !heap)
        state->error = heap ? -errno : -ENOMEM;
    while (!state->error && state->received < state->wanted) {
        ssize_t count = recv(connection, heap, TAKEN_PIECE, 0);
        if (count > 0)
            state->received += (size_t)count;
        else
            state->error = count ? -errno : -ECONNRESET;
    }
    if (connection >= 0)
        close(connection);
    free(heap);
    return NULL;
}

static int send_bytes(struct receiving *state, int socket, size_t segment, size_t window) {
    (void)window; /* the connection has its own */
    size_t sent = 0;
    char *message = calloc(1, segment);
    int result = message ? 0 : -ENOMEM;
    while (result == 0 && sent < state->wanted) {
        size_t left = state->wanted - sent;
        ssize_t count = send(socket, message, left < segment ? left : segment, MSG_NOSIGNAL);
        if (count < 0)
            result = -errno;
        else
            sent += (size_t)count;
    }
    free(message);
    return result;
}

/* Send `count` times `nbytes` bytes through a TCP connection. */
int limit_tcp(size_t nbytes, long count) {
    int source = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address;
    set_size(target, SO_RCVBUFFORCE, SO_RCVBUF, STREAM_BUFFER);
    set_size(source, SO_SNDBUFFORCE, SO_SNDBUF, STREAM_BUFFER);
    int result = bind_loopback(target, &address);
    if (result == 0 && (listen(target, 1) || connect(source, (struct sockaddr *)&address, sizeof address)))
        result = -errno;
    if (result == 0) {
        struct receiving state = {.socket = target, .wanted = nbytes * (size_t)count};
        result = carry(&state, receive_bytes, source, SENT_PIECE, 0, send_bytes);
    }
    close(source);
    close(target);
    return result;
}
