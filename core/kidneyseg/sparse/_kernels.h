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

// The first segment in the activity pattern of a run of offsets.
struct Segment {
    uint8_t list;   // which of the run's lists; its last list swallows rows without a neighbour
    uint8_t first;  // its first offset in the run
    uint8_t more;   // nonzero where further segments follow, as the code that remains
};

constexpr int kLongestRun = 5;

// The offsets of a filter come in runs (along z) whose input rows tend to be consecutive in memory.
struct Runs {
    int length;                                // offsets in a run
    int count;                                 // runs in the filter
    int lists;                                 // lists of a run: length * length (first offset, segment length), +1
    uint16_t rest[1 << (2 * kLongestRun - 1)]; // code without its first segment
    Segment first[1 << (2 * kLongestRun - 1)]; // by code: activity bits, then bits for "the next row follows"
};

struct Scratch {
    Entry* entries;   // a list after the other, `capacity` apart
    int32_t* counts;  // per list
    float* tile;      // (tile rows + 1, padded channels); the last row takes what nobody wants
    const float** pointers;
    int64_t capacity;
};

// out[i] = sum_k x[table[i, k]] @ weight[k]; or, with parent and slot, out[i] = x[parent[i]] @ weight[slot[i]].
struct Conv {
    const float* x;
    int64_t x_stride;
    const int32_t* table;
    int64_t table_size;
    const int32_t* parent;
    const int32_t* slot;
    const Runs* runs;
    int filter;
    int64_t in_channels, out_channels, padded_channels;
    const float* packed;  // weights, a panel of columns after the other, each (filter * in_channels, panel width)
    int64_t rows, tile_rows;
    const Output* outputs;
    int output_count;
};

// part[k] = sum over rows of x[table[i, k]]^T grad[i].
struct WeightGrad {
    const float* x;
    const int32_t* table;
    int64_t table_size;
    const float* grad;
    const Runs* runs;
    int filter;
    int64_t in_channels, out_channels, padded_channels;
    int64_t tile_rows;
};

// The kernels of one instruction set.
struct Kernels {
    const char* name;
    int vector;  // floats in a vector
    int panel;   // columns that a full micro-kernel computes
    void (*pack)(const float* weight, const int64_t* strides, int filter, int64_t in, int64_t out, float* packed);
    void (*conv_tile)(const Conv& conv, Scratch& scratch, int64_t tile);
    void (*weight_grad_rows)(const WeightGrad& job, Scratch& scratch, int64_t begin, int64_t end, int first_run,
                             int last_run, float* part);
    void (*affine)(const float* in, int64_t in_stride, int64_t rows, int64_t channels, const Output& out);
};
