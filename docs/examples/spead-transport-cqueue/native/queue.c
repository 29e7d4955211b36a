#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------------------------------- helpers */

__attribute__((format(printf, 4, 5))) static ptrdiff_t fail(spead_error *error, ptrdiff_t result, int number,
                                                            const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->error_number = number;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return result;
}

/* A condition to poll for. Guarded by the queue's mutex. */
typedef struct event {
    int fd;
    bool set;
} event;

static bool event_open(event *self, bool set) {
    self->set = set;
    self->fd = eventfd(set, EFD_NONBLOCK | EFD_CLOEXEC);
    return self->fd >= 0;
}

/* Neither can fail: the counter is 0 or 1, as `set` says. */
static void event_set(event *self) {
    if (!self->set) self->set = eventfd_write(self->fd, 1) == 0;
}

static void event_clear(event *self) {
    eventfd_t count;
    if (self->set) self->set = eventfd_read(self->fd, &count) != 0;
}

/* ------------------------------------------------------------------------------------------- memory of packets */

enum { CACHE_LINE = 64 };

typedef struct segment {
    spead_segment face;
    atomic_size_t references;
    _Alignas(CACHE_LINE) uint8_t data[];
} segment;

static void segment_retain(spead_segment *face) {
    atomic_fetch_add_explicit(&((segment *)face)->references, 1, memory_order_relaxed);
}

static void segment_release(spead_segment *face) {
    segment *self = (segment *)face;
    if (atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) == 1) free(self);
}

static segment *segment_new(size_t size) {
    segment *self = aligned_alloc(CACHE_LINE, (sizeof *self + size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!self) return NULL;
    self->face = (spead_segment){sizeof self->face, self->data, size, segment_retain, segment_release};
    atomic_init(&self->references, 1);
    return self;
}

/* Copies slices one behind the other, and those that are neighbours already in one go: the payload of a heap's packets
 * is one array as often as not. */
typedef struct copier {
    uint8_t *target;
    const uint8_t *source;
    size_t size;
} copier;

static void copier_flush(copier *self) {
    if (self->size > 0) memcpy(self->target, self->source, self->size);
    self->target += self->size;
    self->size = 0;
}

/* Where the copy of `slice` will be. */
static uint8_t *copier_add(copier *self, const spead_slice *slice) {
    if (self->size == 0 || slice->data != self->source + self->size) {
        copier_flush(self);
        self->source = slice->data;
    }
    uint8_t *at = self->target + self->size;
    self->size += slice->size;
    return at;
}

/* Packets with memory of their own: their first slices lie behind the records, all others in `bodies`, which their
 * receiver may keep. */
typedef struct batch {
    struct batch *next;
    segment *bodies;
    size_t num_packets;
    spead_packet packets[];
} batch;

static void batch_free(batch *self) {
    if (!self) return;
    if (self->bodies) segment_release(&self->bodies->face);
    free(self);
}

static void batch_fill(batch *self, const spead_packet *from) {
    spead_slice *slices = (spead_slice *)(self->packets + self->num_packets);
    copier heads = {.target = (uint8_t *)(slices + 2 * self->num_packets)};
    copier bodies = {.target = self->bodies ? self->bodies->data : NULL};
    for (size_t i = 0; i < self->num_packets; i++, slices += 2) {
        const spead_packet *packet = &from[i];
        const size_t num_slices = packet->num_slices < 2 ? packet->num_slices : 2;
        self->packets[i] = (spead_packet){slices, num_slices, packet->size};
        if (num_slices < 1) continue;
        slices[0] = (spead_slice){copier_add(&heads, &packet->slices[0]), packet->slices[0].size};
        if (num_slices < 2) continue;
        slices[1] = (spead_slice){copier_add(&bodies, &packet->slices[1]), packet->size - packet->slices[0].size};
        for (size_t s = 2; s < packet->num_slices; s++) copier_add(&bodies, &packet->slices[s]);
    }
    copier_flush(&heads);
    copier_flush(&bodies);
}

/* Copies of the first `count` packets. NULL if there is no memory. */
static batch *batch_copy(const spead_packet *packets, size_t count) {
    size_t head_bytes = 0;
    size_t all_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        all_bytes += packets[i].size;
        if (packets[i].num_slices > 0) head_bytes += packets[i].slices[0].size;
    }
    batch *self = malloc(sizeof *self + count * (sizeof(spead_packet) + 2 * sizeof(spead_slice)) + head_bytes);
    if (!self) return NULL;
    self->next = NULL;
    self->num_packets = count;
    self->bodies = NULL;
    if (all_bytes > head_bytes && !(self->bodies = segment_new(all_bytes - head_bytes))) {
        free(self);
        return NULL;
    }
    batch_fill(self, packets);
    return self;
}

/* ------------------------------------------------------------------------------------------ the queue and its ends */

typedef struct sender sender;
typedef struct receiver receiver;

/* Everything in it, the events and whether ends are closed are guarded by its mutex. It lives as long as its ends. */
typedef struct queue {
    pthread_mutex_t mutex;
    size_t num_ends;
    size_t max_packets;
    /* Packets that wait, and those for which a sender has reserved room. */
    size_t num_packets;
    batch *first;
    batch **last;
    /* Those that are not closed. */
    sender *senders;
    receiver *receiver;
    bool had_senders;
    bool ended;
} queue;

struct sender {
    spead_sender face;
    queue *queue;
    event writable;
    /* One caller is inside. */
    atomic_flag in_use;
    bool closed;
    sender *next;
};

struct receiver {
    spead_receiver face;
    queue *queue;
    event readable;
    atomic_flag in_use;
    bool closed;
    /* What was handed out last. Only the receiver's user touches it. */
    batch *current;
};

static queue *queue_new(size_t max_packets, receiver *end) {
    queue *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    pthread_mutex_init(&self->mutex, NULL);
    self->num_ends = 1;
    self->max_packets = max_packets ? max_packets : SIZE_MAX;
    self->last = &self->first;
    self->receiver = end;
    return self;
}

static void queue_leave(queue *self) {
    pthread_mutex_lock(&self->mutex);
    const bool last = --self->num_ends == 0;
    pthread_mutex_unlock(&self->mutex);
    if (!last) return;
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

static void wake_senders(queue *self) {
    for (sender *each = self->senders; each; each = each->next) event_set(&each->writable);
}

static void give_back_room(queue *self, size_t count) {
    if (self->num_packets >= self->max_packets) wake_senders(self);
    self->num_packets -= count;
}

/* ------------------------------------------------------------------------------------------------------- senders */

/* 0 if packets can be sent at present. */
static ptrdiff_t check_sender(const sender *self, spead_error *error) {
    if (self->closed) return fail(error, SPEAD_CLOSED, 0, "the endpoint is closed");
    if (!self->queue->receiver) return fail(error, SPEAD_BROKEN, EPIPE, "the receiver was closed");
    return 0;
}

/* How many of `count` packets there is room for, which is reserved for them. */
static ptrdiff_t reserve(sender *self, size_t count, spead_error *error) {
    queue *to = self->queue;
    pthread_mutex_lock(&to->mutex);
    ptrdiff_t result = check_sender(self, error);
    if (result == 0) {
        const size_t room = to->max_packets - to->num_packets;
        if (count > room) {
            count = room;
            event_clear(&self->writable);
        }
        to->num_packets += count;
        result = (ptrdiff_t)count;
    }
    pthread_mutex_unlock(&to->mutex);
    return result;
}

/* Put packets into the room that was reserved for them, unless one of the ends was closed meanwhile. */
static ptrdiff_t append(sender *self, batch *packets, spead_error *error) {
    queue *to = self->queue;
    const size_t count = packets->num_packets;
    pthread_mutex_lock(&to->mutex);
    ptrdiff_t result = check_sender(self, error);
    if (result == 0) {
        *to->last = packets;
        to->last = &packets->next;
        packets = NULL;
        event_set(&to->receiver->readable);
        result = (ptrdiff_t)count;
    } else {
        give_back_room(to, count);
    }
    pthread_mutex_unlock(&to->mutex);
    batch_free(packets);
    return result;
}

static ptrdiff_t send_packets(sender *self, const spead_batch *offered, spead_error *error) {
    const ptrdiff_t count = reserve(self, offered->num_packets, error);
    if (count <= 0) return count;
    batch *packets = batch_copy(offered->packets, (size_t)count);
    if (packets) return append(self, packets, error);
    pthread_mutex_lock(&self->queue->mutex);
    give_back_room(self->queue, (size_t)count);
    pthread_mutex_unlock(&self->queue->mutex);
    return fail(error, SPEAD_REFUSED, ENOMEM, "there is no memory for %td packets", count);
}

static ptrdiff_t sender_try_send(void *face, const spead_batch *offered, spead_error *error) {
    sender *self = face;
    if (offered->destination != 0)
        return fail(error, SPEAD_REFUSED, EINVAL, "there is no destination %zu, only 0", offered->destination);
    if (atomic_flag_test_and_set_explicit(&self->in_use, memory_order_acquire))
        return fail(error, SPEAD_BUSY, 0, "two callers at the same time");
    const ptrdiff_t result = send_packets(self, offered, error);
    atomic_flag_clear_explicit(&self->in_use, memory_order_release);
    return result;
}

static int sender_fileno(void *face) { return ((sender *)face)->writable.fd; }

static void sender_close(void *face) {
    sender *self = face;
    queue *to = self->queue;
    pthread_mutex_lock(&to->mutex);
    if (!self->closed) {
        self->closed = true;
        event_set(&self->writable);
        sender **at = &to->senders;
        while (*at != self) at = &(*at)->next;
        *at = self->next;
        if (!to->senders && to->receiver) event_set(&to->receiver->readable);
    }
    pthread_mutex_unlock(&to->mutex);
}

static bool join(sender *self) {
    queue *to = self->queue;
    pthread_mutex_lock(&to->mutex);
    const bool joined = to->receiver && !to->ended;
    if (joined) {
        self->next = to->senders;
        to->senders = self;
        to->had_senders = true;
        to->num_ends++;
    }
    pthread_mutex_unlock(&to->mutex);
    return joined;
}

const spead_sender *cqueue_open_sender(const spead_receiver *to) {
    sender *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->face = (spead_sender){
        .struct_size = sizeof self->face,
        .self = self,
        .num_destinations = 1,
        .try_send = sender_try_send,
        .fileno = sender_fileno,
        .close = sender_close,
    };
    atomic_flag_clear(&self->in_use);
    self->queue = ((receiver *)to->self)->queue;
    if (!event_open(&self->writable, true)) {
        free(self);
        return NULL;
    }
    if (!join(self)) {
        close(self->writable.fd);
        free(self);
        errno = ECONNREFUSED;
        return NULL;
    }
    return &self->face;
}

void cqueue_free_sender(const spead_sender *face) {
    sender *self = face->self;
    sender_close(self);
    close(self->writable.fd);
    queue_leave(self->queue);
    free(self);
}

/* ----------------------------------------------------------------------------------------------------- receivers */

/* --8<-- [start:receiver] */
/* The next packets; *result says why there are none. */
static batch *take(receiver *self, ptrdiff_t *result, spead_error *error) {
    queue *from = self->queue;
    batch *next = NULL;
    pthread_mutex_lock(&from->mutex);
    if (self->closed) {
        *result = fail(error, SPEAD_CLOSED, 0, "the endpoint is closed");
    } else if ((next = from->first)) {
        if (!(from->first = next->next)) from->last = &from->first;
        give_back_room(from, next->num_packets);
    } else if (from->had_senders && !from->senders) {
        from->ended = true;
        *result = fail(error, SPEAD_END_OF_STREAM, 0, "the last sender was closed");
    } else {
        event_clear(&self->readable);
        *result = 0;
    }
    pthread_mutex_unlock(&from->mutex);
    return next;
}

static void receiver_release_batch(void *face) {
    receiver *self = face;
    batch_free(self->current);
    self->current = NULL;
}

static ptrdiff_t receive_packets(receiver *self, spead_batch *out, spead_error *error) {
    ptrdiff_t result = 0;
    receiver_release_batch(self);
    self->current = take(self, &result, error);
    if (!self->current) return result;
    out->packets = self->current->packets;
    out->num_packets = self->current->num_packets;
    out->destination = 0;
    out->segment = self->current->bodies ? &self->current->bodies->face : NULL;
    return (ptrdiff_t)out->num_packets;
}

/* Packets are handed out as they were sent, in one piece: that may be more than `limit`. */
static ptrdiff_t receiver_try_recv(void *face, size_t limit, spead_batch *out, spead_error *error) {
    (void)limit;
    receiver *self = face;
    if (atomic_flag_test_and_set_explicit(&self->in_use, memory_order_acquire))
        return fail(error, SPEAD_BUSY, 0, "two callers at the same time");
    const ptrdiff_t result = receive_packets(self, out, error);
    atomic_flag_clear_explicit(&self->in_use, memory_order_release);
    return result;
}

static int receiver_fileno(void *face) { return ((receiver *)face)->readable.fd; }

static void receiver_close(void *face) {
    receiver *self = face;
    queue *from = self->queue;
    batch *discarded = NULL;
    pthread_mutex_lock(&from->mutex);
    if (!self->closed) {
        self->closed = true;
        from->receiver = NULL;
        discarded = from->first;
        from->first = NULL;
        from->last = &from->first;
        event_set(&self->readable);
        wake_senders(from);
    }
    pthread_mutex_unlock(&from->mutex);
    while (discarded) {
        batch *next = discarded->next;
        batch_free(discarded);
        discarded = next;
    }
}

const spead_receiver *cqueue_open_receiver(size_t max_packets) {
    receiver *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->face = (spead_receiver){
        .struct_size = sizeof self->face,
        .self = self,
        .try_recv = receiver_try_recv,
        .fileno = receiver_fileno,
        .release_batch = receiver_release_batch,
        .close = receiver_close,
    };
    atomic_flag_clear(&self->in_use);
    if (!event_open(&self->readable, false)) {
        free(self);
        return NULL;
    }
    if (!(self->queue = queue_new(max_packets, self))) {
        close(self->readable.fd);
        free(self);
        errno = ENOMEM;
        return NULL;
    }
    return &self->face;
}
/* --8<-- [end:receiver] */

void cqueue_free_receiver(const spead_receiver *face) {
    receiver *self = face->self;
    receiver_close(self);
    receiver_release_batch(self);
    close(self->readable.fd);
    queue_leave(self->queue);
    free(self);
}
