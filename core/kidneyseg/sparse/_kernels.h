// Types shared by the dispatcher, the kernel maps and the kernels of each instruction set. Plain data only: code
// compiled for an instruction set must not instantiate library templates, because the linker keeps one copy of each and
// might keep that one for every processor.
#pragma once

#include <cstdint>

#define KIDNEYSEG_API extern "C" __attribute__((visibility("default")))

// One destination of a convolution's rows: written raw, or as leaky_relu(row * scale + shift).
struct Output {
    float* rows;
    int64_t stride;      // floats from one row to the next
    const float* scale;  // one per channel, or null for raw rows
    const float* shift;
    float leak;
};

// `in` is the first of one or several consecutive input rows, `out` a row of the tile.
struct Entry {
    int32_t in;
    int32_t out;
};

// All entries of a tile for the filter offsets first ... first + length - 1, padded to whole micro-kernels with entries
// that read a valid row and write to the row after the tile's last.
struct Batch {
    int32_t first, length;
    int64_t count;  // without the padding
    const Entry* entries;
};

// The batches of a tile of output rows, in the order in which they are summed.
struct Tile {
    const Batch* batches;
    int64_t count;
};

// The first segment of consecutive input rows in a run of filter offsets.
struct Segment {
    uint8_t list;   // which of the run's lists; its last list takes the rows without a neighbour
    uint8_t first;  // its first offset in the run
    uint8_t more;   // nonzero if further segments follow
};

constexpr int kLongestRun = 5;
constexpr int kReadAhead = 16;  // entries after a tile's last that the kernels may read

// The filter's offsets in runs along z, whose input rows tend to be consecutive in memory.
struct Runs {
    int length;                                // offsets in a run
    int count;                                 // runs in the filter
    int lists;                                 // lists of a run: length * length (first offset, segment length), +1
    uint16_t rest[1 << (2 * kLongestRun - 1)]; // the code without its first segment
    Segment first[1 << (2 * kLongestRun - 1)]; // by code: one bit per active offset, then bits for "next row follows"
};

// A worker's entry lists while it reads a kernel map, `capacity` entries apart.
struct Lists {
    Entry* entries;
    int32_t* counts;
    int64_t capacity;
};

// out[i] = start[i] + sum over the batches' entries of x[in ...] @ weight[first ...].
struct Conv {
    const float* x;
    int64_t x_stride;
    int filter;
    int slab;  // offsets with one first coordinate, summed from the last such slab to the first; or the whole filter
    int64_t in_channels, out_channels, padded_channels;
    const float* packed;  // weights in panels of columns, each (filter * in_channels, panel width)
    const float* start;   // or null
    int64_t start_stride;
    int64_t tile_rows;
    const Output* outputs;
    int output_count;
    bool streamed;  // whether the outputs bypass the caches
};

// Results of this many floats or more bypass the caches: otherwise each line is read from memory before it is written.
constexpr int64_t kStreamed = int64_t(1) << 20;

// sums[k] += sum over the batches' entries of x[in]^T grad[out].
struct WeightGrad {
    const float* x;
    const float* grad;
    int64_t in_channels, out_channels, padded_channels;
};

// A BatchNorm with its leaky ReLU: vectors of one float per channel, null where a function does not use them.
struct Norm {
    const float *scale, *shift, *mean, *grad_slope, *grad_offset;
    float leak;
};

// The kernels of one instruction set.
struct Kernels {
    const char* name;
    int vector;  // floats in a vector
    int rows;    // rows per micro-kernel
    // Slabs of so many offsets are packed in reverse order: a filter mirrored along its first coordinate.
    void (*pack)(const float* weight, const int64_t* strides, int filter, int slab, int64_t in, int64_t out,
                 float* packed);
    // Lists the entries of rows begin ... end of a table of `size` elements.
    void (*list)(const int32_t* table, int64_t size, const Runs& runs, int64_t begin, int64_t end, const Lists& lists);
    // Computes rows begin ... end of the outputs; `sums` holds (tile_rows + 1, padded_channels).
    void (*conv)(const Conv& conv, const Tile& tile, int64_t begin, int64_t end, float* sums);
    // Adds the batches of offsets first ... last of a tile that begins at row `begin`.
    void (*weight_grad)(const WeightGrad& job, const Tile& tile, int64_t begin, int first, int last, float* sums);
    // Each works on one chunk of rows; see _norms.cpp.
    void (*norm_statistics)(const float* x, int64_t rows, int64_t channels, float* mean, float* squares);
    void (*norm_forward)(const float* x, int64_t rows, int64_t channels, const Norm& norm, bool large, float* y);
    void (*norm_sums)(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                      float* total, float* moment);
    void (*norm_backward)(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                          bool large, float* grad_x);
};

// The kernels in use.
const Kernels& kernels();

// Writes rows begin ... end of the neighbour table of the sites with these keys to `rows`; size is 1, 3 or 5.
void neighbour_rows(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size, int size, int64_t begin,
                    int64_t end, int32_t* rows);
