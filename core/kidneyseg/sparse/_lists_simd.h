// Entry lists of a tile from its rows of a kernel map; part of _kernels_simd.h.

// One bit per active offset of a row, and one per offset whose next offset reads the next input row.
static inline void row_bits_scalar(const int32_t* row, int count, uint64_t& active, uint64_t& joined) {
    active = joined = 0;
    for (int k = 0; k < count; ++k) {
        active |= uint64_t(row[k] >= 0) << k;
        if (k + 1 < count) joined |= uint64_t(row[k] >= 0 && row[k + 1] == row[k] + 1) << k;
    }
}

#ifndef ROW_BITS
constexpr int BITS_READ_AHEAD = 0;
static inline void row_bits(const int32_t* row, int count, uint64_t& active, uint64_t& joined) {
    row_bits_scalar(row, count, active, joined);
}
#else
constexpr int BITS_READ_AHEAD = 9;
static inline void row_bits(const int32_t* row, int count, uint64_t& active, uint64_t& joined) {
    active = joined = 0;
    for (int k = 0; k < count; k += 8) {
        uint64_t a, j;
        ROW_BITS(row + k, a, j);
        active |= a << k;
        joined |= j << k;
    }
    joined &= active;
}
#endif

template <int LENGTH>
static void list_runs(const int32_t* table, int64_t size, const Runs& runs, int64_t begin, int64_t end,
                      const Lists& lists) {
    constexpr int LISTS = LENGTH * LENGTH + 1, AT_ONCE = 63 / LENGTH;
    constexpr unsigned ACTIVE = (1u << LENGTH) - 1, JOINED = (1u << (LENGTH - 1)) - 1;
    const int filter = runs.count * LENGTH;
    for (int i = 0; i < runs.count * LISTS; ++i) lists.counts[i] = 0;
    for (int from = 0; from < runs.count; from += AT_ONCE) {
        const int count = runs.count - from < AT_ONCE ? runs.count - from : AT_ONCE;
        for (int64_t i = begin; i < end; ++i) {
            const int32_t* row = table + i * filter + from * LENGTH;
            uint64_t active, joined;
            if (row - table + count * LENGTH + BITS_READ_AHEAD <= size)
                row_bits(row, count * LENGTH, active, joined);
            else
                row_bits_scalar(row, count * LENGTH, active, joined);
            int32_t* counts = lists.counts + from * LISTS;
            Entry* entries = lists.entries + from * LISTS * lists.capacity;
            const int32_t out = int32_t(i - begin);
            for (int run = 0; run < count; ++run) {
                unsigned code = (unsigned(active) & ACTIVE) | (unsigned(joined) & JOINED) << LENGTH;
                Segment segment = runs.first[code];
                entries[segment.list * lists.capacity + counts[segment.list]++] = {row[segment.first], out};
                while (__builtin_expect(segment.more, 0)) {
                    code = runs.rest[code];
                    segment = runs.first[code];
                    entries[segment.list * lists.capacity + counts[segment.list]++] = {row[segment.first], out};
                }
                active >>= LENGTH, joined >>= LENGTH;
                row += LENGTH, counts += LISTS, entries += LISTS * lists.capacity;
            }
        }
    }
}

static void list(const int32_t* table, int64_t size, const Runs& runs, int64_t begin, int64_t end,
                 const Lists& lists) {
    const auto by_length = runs.length == 5   ? list_runs<5>
                           : runs.length == 3 ? list_runs<3>
                           : runs.length == 2 ? list_runs<2>
                                              : list_runs<1>;
    by_length(table, size, runs, begin, end, lists);
}
