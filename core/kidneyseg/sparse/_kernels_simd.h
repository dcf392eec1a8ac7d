// The kernels of one instruction set; included once for each, inside its own namespace, with these defined:
// V (vector type), SPLAT(float), ROWS (rows of the micro-kernel), NAME, and where it has one ROW_BITS.
// A tile of output rows is listed offset by offset, then multiplied out of the cache: each step of the micro-kernel
// takes ROWS input rows where they lie, a panel of the weights, and adds to ROWS rows of the tile.

constexpr int WIDTH = sizeof(V) / sizeof(float);
constexpr int PANEL = 2 * WIDTH;
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

static void list_segments(const int32_t* table, int64_t table_size, int filter, const Runs& runs, bool join,
                          int64_t begin, int64_t end, int first_run, int last_run, Scratch& scratch) {
    const int length = runs.length, lists = runs.lists;
    const int runs_at_once = 63 / length;
    const unsigned active_mask = (1u << length) - 1, joined_mask = (1u << (length - 1)) - 1;
    for (int i = 0; i < runs.count * lists; ++i) scratch.counts[i] = 0;
    for (int from = first_run; from < last_run; from += runs_at_once) {
        const int to = from + runs_at_once < last_run ? from + runs_at_once : last_run;
        for (int64_t i = begin; i < end; ++i) {
            const int32_t* row = table + i * filter + from * length;
            uint64_t active, joined;
            if (row - table + (to - from) * length + BITS_READ_AHEAD <= table_size)
                row_bits(row, (to - from) * length, active, joined);
            else
                row_bits_scalar(row, (to - from) * length, active, joined);
            if (!join) joined = 0;
            int32_t* count = scratch.counts + from * lists;
            Entry* entries = scratch.entries + from * lists * scratch.capacity;
            for (int run = from; run < to; ++run) {
                unsigned code = unsigned(active & active_mask) | unsigned(joined & joined_mask) << length;
                const Segment* segment = &runs.first[code];
                entries[segment->list * scratch.capacity + count[segment->list]++] = {row[segment->first],
                                                                                        int32_t(i - begin)};
                while (segment->more) {
                    code = runs.rest[code];
                    segment = &runs.first[code];
                    entries[segment->list * scratch.capacity + count[segment->list]++] = {row[segment->first],
                                                                                            int32_t(i - begin)};
                }
                active >>= length, joined >>= length;
                row += length, count += lists, entries += lists * scratch.capacity;
            }
        }
    }
}

// tile[out of e] += x[in of e][0:depth] @ panel, for ROWS entries.
template <int VECTORS>
static inline void multiply(const float* x, int64_t x_stride, const Entry* e, const float* panel, int64_t depth,
                            float* tile, int64_t tile_stride) {
    V sum[ROWS][VECTORS];
    const float* row[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
        row[r] = x + e[r].in * x_stride;
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) sum[r][v] = load(tile + e[r].out * tile_stride + v * WIDTH);
    }
    for (int64_t d = 0; d < depth; ++d, panel += VECTORS * WIDTH) {
        V w[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) w[v] = load(panel + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; ++r) {
            const V value = SPLAT(row[r][d]);
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; ++v) sum[r][v] += value * w[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) store(tile + e[r].out * tile_stride + v * WIDTH, sum[r][v]);
}

static void multiply_list(const Conv& conv, const Entry* e, int64_t count, int offset, int length, float* tile) {
    const int64_t depth = length * conv.in_channels, all = conv.filter * conv.in_channels;
    const float* packed = conv.packed;
    for (int64_t column = 0; column < conv.padded_channels; column += PANEL) {
        const bool full = conv.padded_channels - column >= PANEL;
        const int64_t width = full ? PANEL : WIDTH;
        const float* panel = packed + offset * conv.in_channels * width;
        for (int64_t i = 0; i < count; i += ROWS)
            if (full)
                multiply<2>(conv.x, conv.x_stride, e + i, panel, depth, tile + column, conv.padded_channels);
            else
                multiply<1>(conv.x, conv.x_stride, e + i, panel, depth, tile + column, conv.padded_channels);
        packed += all * width;
    }
}

// One run's lists, the longest segments first. What does not fill the micro-kernel is cut into shorter segments, so
// that only lists of single offsets are padded.
static void multiply_run(const Conv& conv, Scratch& scratch, int run) {
    const int length = conv.runs->length;
    int32_t* count = scratch.counts + run * conv.runs->lists;
    Entry* entries = scratch.entries + run * conv.runs->lists * scratch.capacity;
    for (int part = length; part >= 1; --part)
        for (int first = 0; first + part <= length; ++first) {
            const int list = first * length + part - 1;
            Entry* e = entries + list * scratch.capacity;
            int64_t n = count[list];
            if (part > 1) {
                const int shorter = list - 1, last = (first + part - 1) * length;
                for (; n % ROWS; --n) {
                    const Entry cut = e[n - 1];
                    entries[shorter * scratch.capacity + count[shorter]++] = cut;
                    entries[last * scratch.capacity + count[last]++] = {cut.in + part - 1, cut.out};
                }
            } else {
                for (; n % ROWS; ++n) e[n] = {e[0].in, int32_t(conv.tile_rows)};
            }
            if (n) multiply_list(conv, e, n, run * length + first, part, scratch.tile);
        }
}

static void write_row(const float* from, int64_t channels, const Output& output, float* to) {
    int64_t c = 0;
    if (!output.scale) {
        for (; c + WIDTH <= channels; c += WIDTH) store(to + c, load(from + c));
        for (; c < channels; ++c) to[c] = from[c];
        return;
    }
    const V leak = SPLAT(output.leak), zero = SPLAT(0.0f);
    for (; c + WIDTH <= channels; c += WIDTH) {
        const V y = load(from + c) * load(output.scale + c) + load(output.shift + c);
        store(to + c, y > zero ? y : y * leak);
    }
    for (; c < channels; ++c) {
        const float y = from[c] * output.scale[c] + output.shift[c];
        to[c] = y > 0.0f ? y : y * output.leak;
    }
}

static void affine(const float* in, int64_t in_stride, int64_t rows, int64_t channels, const Output& out) {
    for (int64_t i = 0; i < rows; ++i) write_row(in + i * in_stride, channels, out, out.rows + i * out.stride);
}

static void conv_tile(const Conv& conv, Scratch& scratch, int64_t tile) {
    const int64_t begin = tile * conv.tile_rows;
    const int64_t end = begin + conv.tile_rows < conv.rows ? begin + conv.tile_rows : conv.rows;
    const int64_t padded = conv.padded_channels, floats = (conv.tile_rows + 1) * padded;
    for (int64_t i = 0; i < floats; ++i) scratch.tile[i] = 0.0f;
    if (conv.table) {
        const bool join = conv.x_stride == conv.in_channels;
        list_segments(conv.table, conv.table_size, conv.filter, *conv.runs, join, begin, end, 0, conv.runs->count,
                      scratch);
    } else {
        for (int k = 0; k < conv.filter; ++k) scratch.counts[k * 2] = 0;
        for (int64_t i = begin; i < end; ++i) {
            const int list = conv.slot[i] * 2;
            scratch.entries[list * scratch.capacity + scratch.counts[list]++] = {conv.parent[i], int32_t(i - begin)};
        }
    }
    for (int run = 0; run < conv.runs->count; ++run) multiply_run(conv, scratch, run);
    for (int o = 0; o < conv.output_count; ++o) {
        const Output& output = conv.outputs[o];
        affine(scratch.tile, padded, end - begin, conv.out_channels,
               {output.rows + begin * output.stride, output.stride, output.scale, output.shift, output.leak});
    }
}

// part[0:BLOCK] (stride `stride`) += x^T grad over `count` pairs of rows.
template <int BLOCK, int VECTORS>
static inline void correlate(const float* const* rows, int64_t count, int64_t first, int64_t column, float* part,
                             int64_t stride) {
    V sum[BLOCK][VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < BLOCK; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) sum[r][v] = load(part + r * stride + v * WIDTH);
    for (int64_t i = 0; i < count; ++i) {
        const float* x = rows[2 * i] + first;
        const float* grad = rows[2 * i + 1] + column;
        V g[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) g[v] = load(grad + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < BLOCK; ++r) {
            const V value = SPLAT(x[r]);
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; ++v) sum[r][v] += value * g[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < BLOCK; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; ++v) store(part + r * stride + v * WIDTH, sum[r][v]);
}

template <int BLOCK, int VECTORS>
static inline void correlate_up_to(int size, const float* const* rows, int64_t count, int64_t first, int64_t column,
                                   float* part, int64_t stride) {
    if (size == BLOCK)
        correlate<BLOCK, VECTORS>(rows, count, first, column, part, stride);
    else if constexpr (BLOCK > 1)
        correlate_up_to<BLOCK - 1, VECTORS>(size, rows, count, first, column, part, stride);
}

static void weight_grad_rows(const WeightGrad& job, Scratch& scratch, int64_t begin, int64_t end, int first_run,
                             int last_run, float* part) {
    constexpr int64_t AT_ONCE = 192;  // pairs whose slices of x and grad stay in the first-level cache
    const int length = job.runs->length, lists = job.runs->lists;
    const int64_t padded = job.padded_channels;
    const bool pad = padded != job.out_channels;
    for (; begin < end; begin += job.tile_rows) {
        const int64_t stop = begin + job.tile_rows < end ? begin + job.tile_rows : end;
        list_segments(job.table, job.table_size, job.filter, *job.runs, true, begin, stop, first_run, last_run,
                      scratch);
        const float* grad = job.grad + begin * job.out_channels;
        if (pad) {
            for (int64_t i = 0; i < stop - begin; ++i)
                for (int64_t c = 0; c < padded; ++c)
                    scratch.tile[i * padded + c] = c < job.out_channels ? grad[i * job.out_channels + c] : 0.0f;
            grad = scratch.tile;
        }
        for (int index = first_run * lists; index < last_run * lists; ++index) {
            const int list = index % lists, count = scratch.counts[index];
            if (list == lists - 1 || count == 0) continue;
            const Entry* e = scratch.entries + index * scratch.capacity;
            for (int64_t i = 0; i < count; ++i) {
                scratch.pointers[2 * i] = job.x + e[i].in * job.in_channels;
                scratch.pointers[2 * i + 1] = grad + e[i].out * padded;
            }
            const int64_t offset = index / lists * length + list / length;
            const int64_t depth = (list % length + 1) * job.in_channels;
            float* to = part + offset * job.in_channels * padded;
            for (int64_t from = 0; from < count; from += AT_ONCE) {
                const float* const* rows = scratch.pointers + 2 * from;
                const int64_t pairs = count - from < AT_ONCE ? count - from : AT_ONCE;
                for (int64_t column = 0; column < padded; column += PANEL)
                    for (int64_t d = 0; d < depth; d += ROWS) {
                        const int size = depth - d < ROWS ? int(depth - d) : ROWS;
                        float* block = to + d * padded + column;
                        if (padded - column >= PANEL)
                            correlate_up_to<ROWS, 2>(size, rows, pairs, d, column, block, padded);
                        else
                            correlate_up_to<ROWS, 1>(size, rows, pairs, d, column, block, padded);
                    }
            }
        }
    }
}

static const Kernels kernels = {NAME, WIDTH, PANEL, pack, conv_tile, weight_grad_rows, affine};
