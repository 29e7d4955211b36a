/* A queue of packets in memory, with the tables of spead_transport.h at its two ends. There is no Python in it.
 *
 * It has one receiver, and any number of senders that come and go. When the last sender was closed, the receiver gets
 * what waits, and then the end. When the receiver was closed, the senders are broken.
 */
#ifndef CQUEUE_QUEUE_H
#define CQUEUE_QUEUE_H

#include "spead_transport.h"

/* The receiver of a new queue in which at most `max_packets` may wait, or any number if that is 0.
 * NULL, with errno set, if the system refuses. */
const spead_receiver *cqueue_open_receiver(size_t max_packets);
void cqueue_free_receiver(const spead_receiver *receiver);

/* A new sender to it, which may outlive it. NULL, with errno set, if the system refuses, the receiver was closed or
 * the end was handed out (ECONNREFUSED). */
const spead_sender *cqueue_open_sender(const spead_receiver *receiver);
void cqueue_free_sender(const spead_sender *sender);

#endif /* CQUEUE_QUEUE_H */
