// Neighbour tables and coarser levels by merging sorted keys; see kernel_map.py for their definition.

#include "_kernels.h"
#include "_thread_pool.h"

#include <cstring>

namespace {

// Rows begin ... end of the table. For each run of offsets along z a cursor points past the previous site's neighbours.
// A site next to the previous one in z shares all of these but the first, so that only one key is examined.
template <int SIZE>
void neighbours(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size, int64_t begin, int64_t end,
                int32_t* rows) {
    constexpr int HALF = SIZE / 2, RUNS = SIZE * SIZE, FILTER = SIZE * RUNS;
    int64_t shift[RUNS], cursor[RUNS];
    for (int run = 0; run < RUNS; ++run) {
        shift[run] = ((run / SIZE - HALF) * y_size + run % SIZE - HALF) * z_size - HALF;
        cursor[run] = std::lower_bound(keys, keys + count, keys[begin] + shift[run]) - keys;
    }
    for (int64_t i = begin; i < end; ++i) {
        int32_t* row = rows + (i - begin) * FILTER;
        if (i > begin && keys[i] == keys[i - 1] + 1) {
            for (int run = 0; run < RUNS; ++run, row += SIZE) {
                const int64_t at = cursor[run];
                const bool hit = at < count && keys[at] == keys[i] + shift[run] + SIZE - 1;
                for (int dz = 0; dz + 1 < SIZE; ++dz) row[dz] = row[dz + 1 - FILTER];
                row[SIZE - 1] = hit ? int32_t(at) : -1;
                cursor[run] = at + hit;
            }
            continue;
        }
        for (int run = 0; run < RUNS; ++run, row += SIZE) {
            const int64_t first = keys[i] + shift[run];
            int64_t at = cursor[run];
            while (at > 0 && keys[at - 1] >= first) --at;
            while (at < count && keys[at] < first) ++at;
            for (int dz = 0; dz < SIZE; ++dz) {
                const bool hit = at < count && keys[at] == first + dz;
                row[dz] = hit ? int32_t(at) : -1;
                at += hit;
            }
            cursor[run] = at;
        }
    }
}

struct Grid {
    int64_t x_size, y_size, z_size, padding;
};

// The sites of one z-row of the fine level that are not yet merged.
struct Cursor {
    const int64_t* key;
    const int64_t* end;
    int64_t base;  // key of z = 0 in this row
    int32_t slot;  // 4 (x & 1) + 2 (y & 1)
};

class Coarsening {
  public:
    const int64_t* keys;
    Grid fine, coarse;
    int64_t* coarse_keys;
    int32_t *parent, *slot, *children;

    int64_t slab(const int64_t* key) const { return *key / fine.z_size / fine.y_size; }

    // The coarse slab (batch and x) of a fine slab.
    int64_t coarse_slab(int64_t slab) const {
        return slab / fine.x_size * coarse.x_size + ((slab % fine.x_size - fine.padding) >> 1) + coarse.padding;
    }

    // Coarsens the fine rows begin ... end, which make up whole coarse slabs, to coarse rows from `to` on.
    int64_t run(int64_t begin, int64_t end, int64_t to) {
        const int64_t *key = keys + begin, *stop = keys + end;
        while (key < stop) {
            const int64_t here = slab(key), target = coarse_slab(here), size = fine.y_size * fine.z_size;
            const int64_t* middle = std::lower_bound(key, stop, (here + 1) * size);
            const int64_t* last = middle;
            if (middle < stop && coarse_slab(slab(middle)) == target)
                last = std::lower_bound(middle, stop, (slab(middle) + 1) * size);
            to = merge_slabs(key, middle, last, target, to);
            key = last;
        }
        return to;
    }

  private:
    // Merges the one or two fine slabs of a coarse slab, key ... middle ... last, by coarse y.
    int64_t merge_slabs(const int64_t* key, const int64_t* middle, const int64_t* last, int64_t target, int64_t to) {
        const int64_t* head[2] = {key, middle};
        const int64_t* tail[2] = {middle, last};
        while (head[0] < tail[0] || head[1] < tail[1]) {
            int64_t y_coarse = INT64_MAX, row[2] = {0, 0};
            for (int s = 0; s < 2; ++s)
                if (head[s] < tail[s]) {
                    row[s] = *head[s] / fine.z_size;
                    y_coarse = std::min(y_coarse, (row[s] % fine.y_size - fine.padding) >> 1);
                }
            Cursor cursors[4];
            int count = 0;
            for (int s = 0; s < 2; ++s)
                while (head[s] < tail[s]) {
                    const int64_t at = *head[s] / fine.z_size, y = at % fine.y_size - fine.padding;
                    if (y >> 1 != y_coarse) break;
                    const int64_t x = at / fine.y_size % fine.x_size - fine.padding;
                    const int64_t base = at * fine.z_size;
                    const int64_t* end = head[s];
                    while (end < tail[s] && *end < base + fine.z_size) ++end;
                    cursors[count++] = {head[s], end, base + fine.padding, int32_t(4 * (x & 1) + 2 * (y & 1))};
                    head[s] = end;
                }
            to = merge_rows(cursors, count,
                            (target * coarse.y_size + y_coarse + coarse.padding) * coarse.z_size + coarse.padding, to);
        }
        return to;
    }

    // Merges up to four fine z-rows into one coarse z-row whose z = 0 has the key `base`.
    int64_t merge_rows(Cursor* cursors, int count, int64_t base, int64_t to) {
        for (;; ++to) {
            int64_t z_coarse = INT64_MAX;
            for (int c = 0; c < count; ++c)
                if (cursors[c].key < cursors[c].end)
                    z_coarse = std::min(z_coarse, (*cursors[c].key - cursors[c].base) >> 1);
            if (z_coarse == INT64_MAX) return to;
            coarse_keys[to] = base + z_coarse;
            int32_t* child = children + 8 * to;
            for (int k = 0; k < 8; ++k) child[k] = -1;
            for (int c = 0; c < count; ++c) {
                Cursor& cursor = cursors[c];
                for (int64_t z; cursor.key < cursor.end && ((z = *cursor.key - cursor.base) >> 1) == z_coarse;
                     ++cursor.key) {
                    const int64_t i = cursor.key - keys;
                    const int32_t k = cursor.slot + int32_t(z & 1);
                    parent[i] = int32_t(to), slot[i] = k, child[k] = int32_t(i);
                }
            }
        }
    }
};

}  // namespace

void neighbour_rows(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size, int size, int64_t begin,
                    int64_t end, int32_t* rows) {
    if (begin == end) return;
    const auto build = size == 1 ? neighbours<1> : size == 3 ? neighbours<3> : neighbours<5>;
    build(keys, count, y_size, z_size, begin, end, rows);
}

// The row of each site's neighbour under each offset of a size^3 filter, -1 if there is none; size is 1, 3 or 5.
KIDNEYSEG_API void kidneyseg_neighbour_table(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size,
                                             int size, int32_t* table, int threads) {
    each_part(even_parts(count, threads), [=](int64_t, int64_t begin, int64_t end) {
        neighbour_rows(keys, count, y_size, z_size, size, begin, end, table + begin * size * size * size);
    });
}

// The next coarser level; `coarse_keys` and `children` have room for `count` sites. Returns the number of coarse ones.
KIDNEYSEG_API int64_t kidneyseg_coarsen(const int64_t* keys, int64_t count, const int64_t* fine,
                                        const int64_t* coarse, int64_t padding, int64_t* coarse_keys,
                                        int32_t* parent, int32_t* slot, int32_t* children, int threads) {
    if (count == 0) return 0;
    Coarsening job{keys, {fine[0], fine[1], fine[2], padding}, {coarse[0], coarse[1], coarse[2], padding},
                   coarse_keys, parent, slot, children};
    // Parts end at the end of a coarse slab. Each is written where its fine rows begin and then moved to its place.
    std::vector<int64_t> bounds = even_parts(count, threads);
    for (size_t p = 1; p + 1 < bounds.size(); ++p) {
        int64_t at = std::max(bounds[p], bounds[p - 1]);
        if (at > 0 && at < count) {
            const int64_t target = job.coarse_slab(job.slab(keys + at - 1));
            at = std::partition_point(keys + at, keys + count,
                                      [&](const int64_t& key) { return job.coarse_slab(job.slab(&key)) <= target; }) -
                 keys;
        }
        bounds[p] = at;
    }
    std::vector<int64_t> ends(bounds.size());
    each_part(bounds,
              [&](int64_t part, int64_t begin, int64_t end) { ends[size_t(part)] = job.run(begin, end, begin); });
    int64_t total = ends[0];
    std::vector<int64_t> moved(bounds.size(), 0);
    for (size_t p = 1; p + 1 < bounds.size(); ++p) {
        const int64_t from = bounds[p], sites = ends[p] - from;
        std::memmove(coarse_keys + total, coarse_keys + from, size_t(sites) * sizeof(int64_t));
        std::memmove(children + 8 * total, children + 8 * from, size_t(sites) * 8 * sizeof(int32_t));
        moved[p] = from - total;
        total += sites;
    }
    each_part(bounds, [&](int64_t part, int64_t begin, int64_t end) {
        if (const int32_t by = int32_t(moved[size_t(part)]))
            for (int64_t i = begin; i < end; ++i) parent[i] -= by;
    });
    return total;
}
