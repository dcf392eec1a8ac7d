// What the dispatcher, the maps and the kernels of each instruction set tell each other. Plain data only: the code of
// an instruction set must not instantiate library templates, which the linker could hand to a processor without it.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define KIDNEYSEG_API extern "C" __declspec(dllexport)
#else
#define KIDNEYSEG_API extern "C" __attribute__((visibility("default")))
#endif

// One place to which the rows of a convolution are written: raw, or leaky_relu(row * scale + shift).
struct Output {
    float* rows;
    int64_t stride;      // floats from one row to the next
    const float* scale;  // one per channel, or null for raw rows
    const float* shift;
    float leak;
};

// A segment of a filter: `in` is the first of one or several consecutive input rows, `out` a row of the tile.
struct Entry {
    int32_t in;
    int32_t out;
};

// All the entries of a tile for offsets first ... first + length - 1 of the filter; padded to whole micro-kernels with
// entries that read an honest row and write the row after the tile's last.
struct Batch {
    int32_t first, length;
    int64_t count;  // without the padding
    const Entry* entries;
};

// What a tile of output rows needs, in the order in which it is added up.
struct Tile {
    const Batch* batches;
    int64_t count;
};

// The first segment in the activity pattern of a run of offsets.
struct Segment {
    uint8_t list;   // which of the run's lists; its last list swallows rows without a neighbour
    uint8_t first;  // its first offset in the run
    uint8_t more;   // nonzero where further segments follow
};

constexpr int kLongestRun = 5;
constexpr int kReadAhead = 16;  // entries behind a tile's last that the kernels may read

// The offsets of a filter come in runs (along z) whose input rows tend to be consecutive in memory.
struct Runs {
    int length;                                // offsets in a run
    int count;                                 // runs in the filter
    int lists;                                 // lists of a run: length * length (first offset, segment length), +1
    uint16_t rest[1 << (2 * kLongestRun - 1)]; // code without its first segment
    Segment first[1 << (2 * kLongestRun - 1)]; // by code: activity bits, then bits for "the next row follows"
};

// A worker's lists while it reads a table, `capacity` entries apart.
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
    int64_t in_channels, out_channels, padded_channels;
    const float* packed;  // weights, a panel of columns after the other, each (filter * in_channels, panel width)
    const float* start;   // or null
    int64_t start_stride;
    int64_t tile_rows;
    const Output* outputs;
    int output_count;
    bool streamed;  // whether the outputs are written past the caches
};

// Floats that are more than the caches should give up to what is written and not read at once. Written past them, such
// a matrix is not first read from memory, line by line.
constexpr int64_t kStreamed = int64_t(1) << 20;

// sums[k] += sum over the batches' entries of x[in]^T grad[out].
struct WeightGrad {
    const float* x;
    const float* grad;
    int64_t in_channels, out_channels, padded_channels;
};

// A BatchNorm with its leaky ReLU; a vector of one float per channel each, null where a function does not need it.
struct Norm {
    const float *scale, *shift, *mean, *by_x, *by_one;
    float leak;
};

// The kernels of one instruction set.
struct Kernels {
    const char* name;
    int vector;  // floats in a vector
    int rows;    // rows that a micro-kernel takes at once
    void (*pack)(const float* weight, const int64_t* strides, int filter, int64_t in, int64_t out, float* packed);
    // Lists rows begin ... end of a table (of `size` entries in all).
    void (*list)(const int32_t* table, int64_t size, const Runs& runs, int64_t begin, int64_t end, const Lists& lists);
    // Rows begin ... end of the output; `sums` holds (tile_rows + 1, padded_channels).
    void (*conv)(const Conv& conv, const Tile& tile, int64_t begin, int64_t end, float* sums);
    // Batches of the offsets first ... last of a tile that begins at row `begin`.
    void (*weight_grad)(const WeightGrad& job, const Tile& tile, int64_t begin, int first, int last, float* sums);
    // A chunk of rows each; what they do is said in _norms.cpp.
    void (*norm_statistics)(const float* x, int64_t rows, int64_t channels, float* average, float* squares);
    void (*norm_forward)(const float* x, int64_t rows, int64_t channels, const Norm& norm, bool large,
                         float* y);
    void (*norm_sums)(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                      float* total, float* moment);
    void (*norm_backward)(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                          bool large, float* to_x);
};

// The kernels in use.
const Kernels& kernels();

// Rows begin ... end of the neighbour table of sites with these keys, to `rows`; size 1, 3 or 5.
void neighbour_rows(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size, int size, int64_t begin,
                    int64_t end, int32_t* rows);
