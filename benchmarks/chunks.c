/* Where heaps go in chunks: one after the other, in the order of their numbers, which count from 1. */
#include <stddef.h>
#include <stdint.h>

enum { HEAP_CNT, HEAP_LENGTH }; /* the items that are asked for, in this order */

/* The record that callbacks are given, as far as it matters here. */
struct heap {
    const uint8_t *packet;
    size_t packet_size;
    const int64_t *items;
    int64_t chunk_id;
    size_t heap_index;
    size_t heap_offset;
};

struct chunk {
    uint64_t heaps;
};

void place(void *data, size_t size, void *user_data) {
    struct heap *heap = data;
    const struct chunk *chunk = user_data;
    uint64_t number = (uint64_t)heap->items[HEAP_CNT] - 1;
    (void)size;
    heap->chunk_id = (int64_t)(number / chunk->heaps);
    heap->heap_index = number % chunk->heaps;
    heap->heap_offset = heap->heap_index * (size_t)heap->items[HEAP_LENGTH];
}
