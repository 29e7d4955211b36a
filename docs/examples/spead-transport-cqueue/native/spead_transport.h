/* The native side of the transport contract of `spead_transport`.
 *
 * A transport written in C (or C++, Rust ...) gives its endpoints this face beside their Python face. Streams then move
 * packets without the GIL and without a Python object per packet. The built-in transports use the same tables.
 *
 * How it is passed. A Python endpoint (a subclass of PacketSender or PacketReceiver) has a method native_handle()
 * that returns a PyCapsule. Its name is SPEAD_SENDER_CAPSULE or SPEAD_RECEIVER_CAPSULE and its pointer is a
 * `const spead_sender *` or `const spead_receiver *`, valid as long as the capsule. The user of the capsule keeps it
 * for as long as it calls anything in the table; the capsule's destructor is the place to free what `self` points to.
 *
 * Versions. The capsule's name changes when a table changes in a way that is not compatible. Otherwise slots are only
 * added at the end: `struct_size` says how much of the table its provider knew, and whatever lies beyond it counts as
 * absent. The same holds for the other structures with a `struct_size`.
 *
 * Threads. As in Python: one thread at a time is inside try_send or try_recv, any thread at any time may call close,
 * and no slot is called with the GIL held by necessity: do not touch Python objects without taking it. Nothing blocks.
 * Waiting is done on the file descriptor that `fileno` gives, which polls *readable* (POLLIN) when a call may get
 * further; it may report early, never late. It stays open until the capsule is destroyed: close only makes it readable.
 *
 * Failure. A call that returns a count returns one of the negative SPEAD_* values instead when it fails, and then fills
 * in the `spead_error`. A failure after some packets were moved is reported by the next call.
 */
#ifndef SPEAD_TRANSPORT_H
#define SPEAD_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPEAD_SENDER_CAPSULE "spead_transport.sender.1"
#define SPEAD_RECEIVER_CAPSULE "spead_transport.receiver.1"

enum {
    /* Receivers only, after the last packet, at that and every later call: the ordinary end, not an error. */
    SPEAD_END_OF_STREAM = -1,
    /* The endpoint was closed on this side. */
    SPEAD_CLOSED = -2,
    /* An outside cause; the endpoint can only be closed. */
    SPEAD_BROKEN = -3,
    /* Two callers at the same time. */
    SPEAD_BUSY = -4,
    /* Senders only: the first packet cannot be sent (it is too large, say), but others may be. */
    SPEAD_REFUSED = -5
};

typedef struct spead_error {
    /* The operating system's error number, or 0. */
    int error_number;
    /* What was expected and what came, as UTF-8, ended by a NUL. A second line that begins with "hint: " says what to do
     * about it. */
    char message[252];
} spead_error;

/* A piece of memory. Has the layout of POSIX's struct iovec. */
typedef struct spead_slice {
    const void *data;
    size_t size;
} spead_slice;

/* A packet: the bytes of its slices, one after the other. If there are several slices, the SPEAD header should be in
 * the first one, and nothing else. The slices of consecutive packets of a batch that a sender is given lie one after
 * the other in one array, so that several packets can be passed to sendmsg(2) as they are. */
typedef struct spead_packet {
    const spead_slice *slices;
    size_t num_slices;
    /* Of all slices together, in bytes. */
    size_t size;
} spead_packet;

/* Memory with a reference count, shared between a transport and the heaps that were received into it. Both functions
 * may be called from any thread. */
typedef struct spead_segment spead_segment;
struct spead_segment {
    size_t struct_size;
    uint8_t *data;
    size_t size;
    void (*retain)(spead_segment *segment);
    void (*release)(spead_segment *segment);
};

typedef struct spead_batch {
    size_t struct_size;
    const spead_packet *packets;
    size_t num_packets;
    /* Senders: index of the destination, less than spead_sender.num_destinations. */
    size_t destination;
    /* Receivers: if not NULL, second and later slices that lie in this segment may be kept for good, and written to,
     * by whoever retains it: no other packet uses that memory. NULL if the packets' memory is to be copied. */
    spead_segment *segment;
} spead_batch;

typedef struct spead_sender {
    size_t struct_size;
    void *self;
    size_t num_destinations;
    /* How many packets from the front of `batch` were taken, 0 if there is no room now. The memory is borrowed until the
     * call returns: a transport that keeps packets copies them. */
    ptrdiff_t (*try_send)(void *self, const spead_batch *batch, spead_error *error);
    /* Polls readable when try_send may take packets again. The same number at every call. */
    int (*fileno)(void *self);
    /* Idempotent, never waits. Packets that were taken stay sent. */
    void (*close)(void *self);
} spead_sender;

typedef struct spead_receiver {
    size_t struct_size;
    void *self;
    /* Fill in `batch` with packets that have arrived: how many, 0 if nothing is there now. `limit` (> 0) is how many are
     * wanted; a transport that receives many in one piece may exceed it. The packets, and their memory unless
     * batch->segment is retained, are valid until the next call, release_batch or close. */
    ptrdiff_t (*try_recv)(void *self, size_t limit, spead_batch *batch, spead_error *error);
    /* Polls readable when try_recv may have packets, or an end. The same number at every call. */
    int (*fileno)(void *self);
    /* The last batch is no longer used. Harmless to repeat. May be NULL. */
    void (*release_batch)(void *self);
    /* How many packets the endpoint knows of and did not hand out, for the reason number `index`; *reason is set to its
     * name, a static string. Returns 0 with *reason = NULL from the first index on that is not used. May be NULL. */
    uint64_t (*drops)(void *self, size_t index, const char **reason);
    /* Idempotent, never waits. */
    void (*close)(void *self);
    /* What the user should know although it is no failure, such as that a sender was refused: fill in one thing, which is
     * then told no more, and return 1; or return 0 if there is none. Called after try_recv, by the same caller. May be
     * NULL. */
    int (*take_notice)(void *self, spead_error *notice);
    /* Nanoseconds that a thread which drives the receiver in the background had better rest when much of a heap came and
     * then nothing more is there, before it waits for the file descriptor: what comes meanwhile wakes nobody, and is taken
     * in together. Pays where large heaps come in many small messages, each of which would wake the thread. 0 for no rest. */
    uint32_t rest_ns;
} spead_receiver;

#ifdef __cplusplus
}
#endif

#endif /* SPEAD_TRANSPORT_H */
