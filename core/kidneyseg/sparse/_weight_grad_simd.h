// The weight gradient of a tile; part of _kernels_simd.h.

constexpr int64_t PAIRS = 192;  // pairs of rows whose slices of x and grad fit into the L1 cache

// sums[0:BLOCK] (stride apart) += x^T grad over `count` pairs of rows; `grad` holds a panel's columns of each row.
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
