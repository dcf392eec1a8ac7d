// The convolution of a tile; part of _kernels_simd.h. Each step of the micro-kernel reads ROWS input rows in place and
// a panel of the weights, and adds to ROWS rows of the tile, which stays in the cache.

static void pack(const float* weight, const int64_t* strides, int filter, int slab, int64_t in, int64_t out,
                 float* packed) {
    for (int64_t column = 0; column < out; column += PANEL) {
        const int64_t width = out - column > WIDTH ? PANEL : WIDTH;
        for (int k = 0; k < filter; ++k) {
            const int source = filter - slab - k / slab * slab + k % slab;
            for (int64_t i = 0; i < in; ++i, packed += width) {
                const float* from = weight + source * strides[0] + i * strides[1] + column * strides[2];
                for (int64_t j = 0; j < width; ++j) packed[j] = column + j < out ? from[j * strides[2]] : 0.0f;
            }
        }
    }
}

// sum[r] += row[r][0:DEPTH] @ panel; advances the rows' pointers.
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

// The batches of offsets first ... first + slab - 1.
static void multiply_slab(const Conv& conv, const Tile& tile, int first, float* sums) {
    for (int64_t b = 0; b < tile.count; ++b) {
        const Batch& batch = tile.batches[b];
        if (batch.first < first || batch.first >= first + conv.slab) continue;
        if (conv.x_stride == conv.in_channels)
            multiply_batch(conv, conv.x, batch, batch.length * conv.in_channels, batch.first, sums);
        else
            for (int part = 0; part < batch.length; ++part)
                multiply_batch(conv, conv.x + part * conv.x_stride, batch, conv.in_channels, batch.first + part, sums);
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
    for (int first = conv.filter - conv.slab; first >= 0; first -= conv.slab) multiply_slab(conv, tile, first, sums);
    for (int o = 0; o < conv.output_count; ++o) {
        const Output& output = conv.outputs[o];
        if (conv.streamed && aligned(output.rows, output.stride))
            write_rows<true>(conv, output, begin, end, sums);
        else
            write_rows<false>(conv, output, begin, end, sums);
    }
    if (conv.streamed) FENCE();
}
