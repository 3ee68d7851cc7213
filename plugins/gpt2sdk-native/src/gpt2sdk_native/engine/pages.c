/* Keys and values in pages that slots share, and copy when they write to a shared one. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

enum { HEADER = 16 }; /* floats before a page: its users, and the next spare one */

struct header {
    int users;
    float *next;
};

static struct header *header(float *page) { return (struct header *)(page - HEADER); }

static size_t page_bytes(const struct cache *cache) {
    return (cache->page_floats + HEADER) * sizeof(float);
}

static float *take_page(struct cache *cache) {
    float *page = cache->spare;
    if (page) {
        cache->spare = header(page)->next;
    } else {
        float *memory = take_memory(page_bytes(cache));
        if (!memory) return NULL;
        page = memory + HEADER;
        cache->page_total++;
    }
    header(page)->users = 1;
    return page;
}

static void leave_page(struct cache *cache, float *page) {
    if (--header(page)->users) return;
    header(page)->next = cache->spare;
    cache->spare = page;
}

static void drop_spare(struct cache *cache) {
    while (cache->spare) {
        float *page = cache->spare;
        cache->spare = header(page)->next;
        drop_memory(page - HEADER, page_bytes(cache));
        cache->page_total--;
    }
}

struct cache *gpt2sdk_cache_new(int slots, int depth, int heads, int size, int limit) {
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    cache->depth = depth;
    cache->limit = limit;
    cache->slots = slots;
    cache->page_floats =
        (size_t)depth * (size_t)heads * (size_t)(size + rounded_up(size, LANES)) * PLACES;
    cache->lengths = calloc((size_t)slots + 1, sizeof(int));
    cache->page_counts = calloc((size_t)slots + 1, sizeof(int));
    cache->pages = calloc((size_t)slots + 1, sizeof(float **));
    return cache;
}

static void cut(struct cache *cache, int slot, int pages) {
    while (cache->page_counts[slot] > pages)
        leave_page(cache, cache->pages[slot][--cache->page_counts[slot]]);
}

void gpt2sdk_cache_free(struct cache *cache) {
    for (int slot = 0; slot < cache->slots; slot++) {
        cut(cache, slot, 0);
        free(cache->pages[slot]);
    }
    drop_spare(cache);
    free(cache->pages);
    free(cache->page_counts);
    free(cache->lengths);
    free(cache);
}

/* Slot i becomes a copy of slot parents[i], or empty for -1. Returns 0, or -1 without memory. */
int gpt2sdk_cache_fork(struct cache *cache, const int32_t *parents, int slots) {
    int *lengths = calloc((size_t)slots + 1, sizeof(int));
    int *counts = calloc((size_t)slots + 1, sizeof(int));
    float ***pages = calloc((size_t)slots + 1, sizeof(float **));
    int bad = !lengths || !counts || !pages;
    for (int slot = 0; slot < slots && !bad; slot++) {
        const int parent = parents[slot];
        if (parent < 0) continue;
        const int count = (cache->lengths[parent] + PLACES - 1) / PLACES;
        pages[slot] = malloc(((size_t)count + 1) * sizeof(float *));
        if (!(bad = !pages[slot]))
            memcpy(pages[slot], cache->pages[parent], (size_t)count * sizeof(float *));
        counts[slot] = count;
        lengths[slot] = cache->lengths[parent];
    }
    if (bad) {
        for (int slot = 0; pages && slot < slots; slot++) free(pages[slot]);
        free(pages);
        free(counts);
        free(lengths);
        return -1;
    }
    for (int slot = 0; slot < slots; slot++)
        for (int i = 0; i < counts[slot]; i++) header(pages[slot][i])->users++;
    for (int slot = 0; slot < cache->slots; slot++) {
        cut(cache, slot, 0);
        free(cache->pages[slot]);
    }
    free(cache->pages);
    free(cache->page_counts);
    free(cache->lengths);
    cache->pages = pages;
    cache->page_counts = counts;
    cache->lengths = lengths;
    cache->slots = slots;
    if (!slots) drop_spare(cache);
    return 0;
}

void gpt2sdk_cache_rewind(struct cache *cache, const int32_t *lengths) {
    for (int slot = 0; slot < cache->slots; slot++) {
        cache->lengths[slot] = lengths[slot];
        cut(cache, slot, (lengths[slot] + PLACES - 1) / PLACES);
    }
}

size_t gpt2sdk_cache_bytes(const struct cache *cache) {
    return cache->page_total * page_bytes(cache);
}

/* Give every slot pages of its own for so many more tokens; what fails changes nothing it holds. */
int make_room(struct cache *cache, const int32_t *counts) {
    for (int slot = 0; slot < cache->slots; slot++) {
        const int length = cache->lengths[slot], total = length + counts[slot];
        const int wanted = (total + PLACES - 1) / PLACES;
        if (!counts[slot]) continue;
        float **pages = realloc(cache->pages[slot], ((size_t)wanted + 1) * sizeof(float *));
        if (!pages) return -1;
        cache->pages[slot] = pages;
        if (length % PLACES && header(pages[length / PLACES])->users > 1) {
            float *own = take_page(cache);
            if (!own) return -1;
            memcpy(own, pages[length / PLACES], cache->page_floats * sizeof(float));
            leave_page(cache, pages[length / PLACES]);
            pages[length / PLACES] = own;
        }
        while (cache->page_counts[slot] < wanted) {
            float *page = take_page(cache);
            if (!page) return -1;
            pages[cache->page_counts[slot]++] = page;
        }
    }
    return 0;
}
