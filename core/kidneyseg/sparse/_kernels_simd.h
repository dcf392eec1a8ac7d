// The kernels of one instruction set; included once for each, inside its own namespace, with these defined:
// V (vector type), SPLAT(float), STREAM(float*, V) and FENCE() (a store past the caches, and what makes other threads see
// those), ROWS (rows of the micro-kernel), NAME, and where it has one ROW_BITS.
// A tile of output rows is listed offset by offset, then multiplied out of the cache: each step of the micro-kernel
// takes ROWS input rows where they lie, a panel of the weights, and adds to ROWS rows of the tile.

constexpr int WIDTH = sizeof(V) / sizeof(float);
constexpr int PANEL = 2 * WIDTH;  // columns that a full micro-kernel computes
typedef V Loose __attribute__((aligned(4), may_alias));

static inline V load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<Loose*>(p) = v; }

static void pack(const float* weight, const int64_t* strides, int filter, int64_t in, int64_t out, float* packed) {
    for (int64_t column = 0; column < out; column += PANEL) {
        const int64_t width = out - column > WIDTH ? PANEL : WIDTH;
        for (int k = 0; k < filter; ++k)
            for (int64_t i = 0; i < in; ++i, packed += width) {
                const float* from = weight + k * strides[0] + i * strides[1] + column * strides[2];
                for (int64_t j = 0; j < width; ++j) packed[j] = column + j < out ? from[j * strides[2]] : 0.0f;
            }
    }
}

// Activity of `count` offsets of a row as bits, and which of them are followed by the next input row.
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

// Keeps a pointer in a register of its own. Left to itself, GCC takes several pointers, or the places behind one, for a
// pointer and distances from it, and has more of those than registers: then every multiplication waits for two loads.
#define PINNED(pointer) __asm__("" : "+r"(pointer))

// sum[r] += row[r][0:DEPTH] @ panel, and moves the rows' pointers on.
template <int VECTORS, int DEPTH>
ALWAYS_INLINE void multiply_deep(V (&sum)[ROWS][VECTORS], const float* (&row)[ROWS], const float* panel) {
#pragma GCC unroll 8
    for (int d = 0; d < DEPTH; ++d) {
        V w[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) w[v] = load(panel + (d * VECTORS + v) * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; ++r) {
            const V value = SPLAT(row[r][d]);
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; ++v) sum[r][v] += value * w[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
        row[r] += DEPTH;
        PINNED(row[r]);
    }
}

// tile[out of e] += x[in of e][0:depth] @ panel, for ROWS entries.
template <int VECTORS>
ALWAYS_INLINE void multiply(const float* x, int64_t x_stride, const Entry* e, const float* panel, int64_t depth,
                            float* tile, int64_t tile_stride) {
    constexpr int DEEP = 8;
    V sum[ROWS][VECTORS];
    const float* row[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
        row[r] = x + e[r].in * x_stride;
        __builtin_prefetch(x + e[r + ROWS].in * x_stride);
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) sum[r][v] = load(tile + e[r].out * tile_stride + v * WIDTH);
    }
    for (; depth >= DEEP; depth -= DEEP, panel += DEEP * VECTORS * WIDTH) multiply_deep<VECTORS, DEEP>(sum, row, panel);
    for (; depth > 0; --depth, panel += VECTORS * WIDTH) multiply_deep<VECTORS, 1>(sum, row, panel);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) store(tile + e[r].out * tile_stride + v * WIDTH, sum[r][v]);
}

static void multiply_batch(const Conv& conv, const float* x, const Batch& batch, int64_t depth, int first,
                           float* sums) {
    const float* packed = conv.packed;
    for (int64_t column = 0; column < conv.padded_channels; column += PANEL) {
        const bool full = conv.padded_channels - column >= PANEL;
        const int64_t width = full ? PANEL : WIDTH;
        const float* panel = packed + first * conv.in_channels * width;
        for (int64_t i = 0; i < batch.count; i += ROWS)
            if (full)
                multiply<2>(x, conv.x_stride, batch.entries + i, panel, depth, sums + column, conv.padded_channels);
            else
                multiply<1>(x, conv.x_stride, batch.entries + i, panel, depth, sums + column, conv.padded_channels);
        packed += conv.filter * conv.in_channels * width;
    }
}

template <bool STREAMED>
ALWAYS_INLINE void write(float* p, V v) {
    if constexpr (STREAMED)
        STREAM(p, v);
    else
        store(p, v);
}

static inline bool aligned(const float* p, int64_t stride) {
    return (reinterpret_cast<uintptr_t>(p) | uintptr_t(stride) * sizeof(float)) % sizeof(V) == 0;
}

template <bool STREAMED>
ALWAYS_INLINE void write_row(const float* from, int64_t channels, const Output& output, float* to) {
    int64_t c = 0;
    if (!output.scale) {
        for (; c + WIDTH <= channels; c += WIDTH) write<STREAMED>(to + c, load(from + c));
        for (; c < channels; ++c) to[c] = from[c];
        return;
    }
    const V leak = SPLAT(output.leak), zero = SPLAT(0.0f);
    for (; c + WIDTH <= channels; c += WIDTH) {
        const V y = load(from + c) * load(output.scale + c) + load(output.shift + c);
        write<STREAMED>(to + c, y > zero ? y : y * leak);
    }
    for (; c < channels; ++c) {
        const float y = from[c] * output.scale[c] + output.shift[c];
        to[c] = y > 0.0f ? y : y * output.leak;
    }
}

template <bool STREAMED>
static void write_rows(const Conv& conv, const Output& output, int64_t begin, int64_t end, const float* sums) {
    for (int64_t i = begin; i < end; ++i, sums += conv.padded_channels)
        write_row<STREAMED>(sums, conv.out_channels, output, output.rows + i * output.stride);
}

static void conv(const Conv& conv, const Tile& tile, int64_t begin, int64_t end, float* sums) {
    const int64_t floats = (conv.tile_rows + 1) * conv.padded_channels;
    for (int64_t i = 0; i < floats; ++i) sums[i] = 0.0f;
    if (conv.start)
        for (int64_t i = begin; i < end; ++i) {
            const float* from = conv.start + i * conv.start_stride;
            float* to = sums + (i - begin) * conv.padded_channels;
            for (int64_t c = 0; c < conv.out_channels; ++c) to[c] = from[c];
        }
    for (int64_t b = 0; b < tile.count; ++b) {
        const Batch& batch = tile.batches[b];
        if (conv.x_stride == conv.in_channels)
            multiply_batch(conv, conv.x, batch, batch.length * conv.in_channels, batch.first, sums);
        else
            for (int part = 0; part < batch.length; ++part)
                multiply_batch(conv, conv.x + part * conv.x_stride, batch, conv.in_channels, batch.first + part, sums);
    }
    for (int o = 0; o < conv.output_count; ++o) {
        const Output& output = conv.outputs[o];
        if (conv.streamed && aligned(output.rows, output.stride))
            write_rows<true>(conv, output, begin, end, sums);
        else
            write_rows<false>(conv, output, begin, end, sums);
    }
    if (conv.streamed) FENCE();
}

constexpr int64_t PAIRS = 192;  // whose slices of x and grad stay together in the first-level cache

// sums[0:BLOCK] (stride apart) += x^T grad over `count` pairs of rows; `grad` holds a panel, row by row.
template <int BLOCK, int VECTORS>
ALWAYS_INLINE void correlate(const float* const* x, int64_t first, const float* grad, int64_t count, float* sums,
                             int64_t stride) {
    V sum[BLOCK][VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < BLOCK; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) sum[r][v] = load(sums + r * stride + v * WIDTH);
    for (int64_t i = 0; i < count; ++i, grad += VECTORS * WIDTH) {
        const float* row = x[i] + first;
        PINNED(row);
        V g[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) g[v] = load(grad + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < BLOCK; ++r) {
            const V value = SPLAT(row[r]);
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; ++v) sum[r][v] += value * g[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < BLOCK; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) store(sums + r * stride + v * WIDTH, sum[r][v]);
}

template <int BLOCK, int VECTORS>
static void correlate_rest(int size, const float* const* x, int64_t first, const float* grad, int64_t count,
                           float* sums, int64_t stride) {
    if (size == BLOCK)
        correlate<BLOCK, VECTORS>(x, first, grad, count, sums, stride);
    else if constexpr (BLOCK > 1)
        correlate_rest<BLOCK - 1, VECTORS>(size, x, first, grad, count, sums, stride);
}

template <int VECTORS>
static void correlate_panel(const float* const* x, int64_t depth, const float* grad, int64_t count, float* sums,
                            int64_t stride) {
    int64_t d = 0;
    for (; d + ROWS <= depth; d += ROWS) correlate<ROWS, VECTORS>(x, d, grad, count, sums + d * stride, stride);
    if (d < depth)
        correlate_rest<ROWS - 1, VECTORS>(int(depth - d), x, d, grad, count, sums + d * stride, stride);
}

static void weight_grad(const WeightGrad& job, const Tile& tile, int64_t begin, int first, int last, float* sums) {
    const float* x[PAIRS];
    alignas(64) float grad[PAIRS * PANEL];
    const int64_t out = job.out_channels, padded = job.padded_channels;
    for (int64_t b = 0; b < tile.count; ++b) {
        const Batch& batch = tile.batches[b];
        if (batch.first < first || batch.first >= last) continue;
        float* to = sums + batch.first * job.in_channels * padded;
        for (int64_t from = 0; from < batch.count; from += PAIRS) {
            const int64_t count = batch.count - from < PAIRS ? batch.count - from : PAIRS;
            const Entry* e = batch.entries + from;
            for (int64_t i = 0; i < count; ++i) x[i] = job.x + e[i].in * job.in_channels;
            for (int64_t column = 0; column < padded; column += PANEL) {
                const int64_t width = padded - column < PANEL ? WIDTH : PANEL;
                const int64_t filled = out - column < width ? out - column : width;
                for (int64_t i = 0; i < count; ++i) {
                    const float* row = job.grad + (begin + e[i].out) * out + column;
                    float* copy = grad + i * width;
                    if (filled == PANEL) {
                        store(copy, load(row)), store(copy + WIDTH, load(row + WIDTH));
                    } else {
                        for (int64_t c = 0; c < width; ++c) copy[c] = c < filled ? row[c] : 0.0f;
                    }
                }
                if (width == PANEL)
                    correlate_panel<2>(x, batch.length * job.in_channels, grad, count, to + column, padded);
                else
                    correlate_panel<1>(x, batch.length * job.in_channels, grad, count, to + column, padded);
            }
        }
    }
}
