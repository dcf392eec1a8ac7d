// Extent and keys of coordinates, int64 (rows, 3 or 4): x, y, z and, in a fourth column, the batch index; see
// kernel_map.py.

#include "_kernels.h"
#include "_thread_pool.h"

namespace {

struct Extent {
    int64_t low[4], high[4];
};

template <int COLUMNS>
Extent extent(const int64_t* coords, int64_t begin, int64_t end) {
    Extent found;
    for (int c = 0; c < COLUMNS; ++c) found.low[c] = found.high[c] = coords[begin * COLUMNS + c];
    for (const int64_t* at = coords + (begin + 1) * COLUMNS; at < coords + end * COLUMNS; at += COLUMNS)
        for (int c = 0; c < COLUMNS; ++c) {
            found.low[c] = std::min(found.low[c], at[c]);
            found.high[c] = std::max(found.high[c], at[c]);
        }
    return found;
}

// Writes the keys of rows begin ... end; returns whether they increase strictly.
template <int COLUMNS>
bool pack(const int64_t* coords, const int64_t* sizes, int64_t padding, int64_t begin, int64_t end, int64_t* keys) {
    const int64_t shift = (padding * sizes[1] + padding) * sizes[2] + padding;
    int64_t last = INT64_MIN;
    bool increasing = true;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t* at = coords + i * COLUMNS;
        const int64_t x = COLUMNS == 4 ? at[3] * sizes[0] + at[0] : at[0];
        const int64_t key = (x * sizes[1] + at[1]) * sizes[2] + at[2] + shift;
        increasing &= key > last;
        keys[i] = last = key;
    }
    return increasing;
}

}  // namespace

// Smallest and largest value of each of the 3 or 4 columns of at least one row.
KIDNEYSEG_API void kidneyseg_extent(const int64_t* coords, int64_t rows, int columns, int64_t* low, int64_t* high,
                                    int threads) {
    const std::vector<int64_t> bounds = even_parts(rows, threads);
    std::vector<Extent> found(bounds.size() - 1);
    each_part(bounds, [&](int64_t part, int64_t begin, int64_t end) {
        found[size_t(part)] = columns == 4 ? extent<4>(coords, begin, end) : extent<3>(coords, begin, end);
    });
    for (int c = 0; c < columns; ++c) {
        low[c] = found[0].low[c], high[c] = found[0].high[c];
        for (const Extent& part : found) {
            low[c] = std::min(low[c], part.low[c]);
            high[c] = std::max(high[c], part.high[c]);
        }
    }
}

// The key of each row in a grid of these sizes, padding included. Returns whether the keys increase strictly.
KIDNEYSEG_API int kidneyseg_pack(const int64_t* coords, int64_t rows, int columns, const int64_t* sizes,
                                 int64_t padding, int64_t* keys, int threads) {
    const std::vector<int64_t> bounds = even_parts(rows, threads);
    std::vector<char> increasing(bounds.size() - 1);
    each_part(bounds, [&](int64_t part, int64_t begin, int64_t end) {
        const auto keys_of = columns == 4 ? pack<4> : pack<3>;
        increasing[size_t(part)] = keys_of(coords, sizes, padding, begin, end, keys);
    });
    bool all = true;
    for (size_t part = 0; part < increasing.size(); ++part) {
        const int64_t begin = bounds[part];
        all = all && increasing[part] && (begin == 0 || keys[begin] > keys[begin - 1]);
    }
    return all;
}
