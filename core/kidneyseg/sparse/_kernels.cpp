// Submanifold sparse convolution on the CPU: buffers in, buffers out, a plain C interface (see native.py).
//
// Results do not depend on the number of threads: a tile of output rows is computed by one thread from first to last,
// tiles and partial sums are cut by the size of the problem alone, and partial sums are added in a fixed order.

#include "_kernels.h"
#include "_workers.h"

#include <cstring>

namespace {

int run_length(int filter) {
    for (int size = 2; size <= kLongestRun; ++size)
        if (size * size * size == filter) return size;
    return 1;
}

Runs make_runs(int filter, int length) {
    Runs runs;
    runs.length = length, runs.count = filter / length, runs.lists = length * length + 1;
    for (unsigned code = 0; code < 1u << (2 * length - 1); ++code) {
        unsigned active = code & ((1u << length) - 1), joined = code >> length;
        if (!active) {
            runs.first[code] = {uint8_t(length * length), 0, 0};
            runs.rest[code] = 0;
            continue;
        }
        int first = 0;
        while (!(active >> first & 1)) ++first;
        int last = first;
        while (last + 1 < length && (joined >> last & 1) && (active >> (last + 1) & 1)) ++last;
        const unsigned rest = active & ~((2u << last) - 1);
        runs.rest[code] = uint16_t(rest | joined << length);
        runs.first[code] = {uint8_t(first * length + last - first), uint8_t(first), uint8_t(rest != 0)};
    }
    return runs;
}

// Rows of a tile: enough to fill its lists, few enough that small levels have work for every thread. They may not
// depend on the number of threads, since the order in which a tile adds up can depend on its size.
int64_t tile_rows_for(int64_t rows) {
    return std::max<int64_t>(64, std::min<int64_t>(512, round_up(rows / 16, 64)));
}

// A neighbour table, read once for all the convolutions that run on it.
struct Plan {
    int64_t rows, tile_rows;
    std::atomic<int32_t> last_input{-1};  // the largest row of x that it reads
    int filter;
    const Kernels* made_for;
    std::vector<Tile> tiles;
    std::vector<Buffer<char>> memory;
};

// Turns a worker's lists into a tile: in each run the longest segments first. What does not fill the micro-kernel is
// cut into shorter segments, so that only single offsets need padding.
Tile make_tile(const Runs& runs, const Lists& lists, int micro_rows, int64_t tile_rows, Buffer<char>& memory) {
    std::vector<Batch> batches;
    const int length = runs.length;
    int64_t total = 0;
    for (int run = 0; run < runs.count; ++run) {
        int32_t* counts = lists.counts + run * runs.lists;
        Entry* entries = lists.entries + run * runs.lists * lists.capacity;
        for (int part = length; part >= 1; --part)
            for (int first = 0; first + part <= length; ++first) {
                const int list = first * length + part - 1, last = (first + part - 1) * length;
                Entry* e = entries + list * lists.capacity;
                if (part > 1)
                    for (; counts[list] % micro_rows; --counts[list]) {
                        const Entry cut = e[counts[list] - 1];
                        entries[(list - 1) * lists.capacity + counts[list - 1]++] = cut;
                        entries[last * lists.capacity + counts[last]++] = {cut.in + part - 1, cut.out};
                    }
                const int64_t count = counts[list], padded = round_up(count, micro_rows);
                for (int64_t i = count; i < padded; ++i) e[i] = {e[0].in, int32_t(tile_rows)};
                if (count) batches.push_back({run * length + first, part, count, e});
                total += padded;
            }
    }
    const size_t header = batches.size() * sizeof(Batch);
    memory = allocate<char>(int64_t(header + size_t(total) * sizeof(Entry)));
    Entry* to = reinterpret_cast<Entry*>(memory.get() + header);
    for (Batch& batch : batches) {
        const int64_t padded = round_up(batch.count, micro_rows);
        std::memcpy(to, batch.entries, size_t(padded) * sizeof(Entry));
        batch.entries = to;
        to += padded;
    }
    std::memcpy(memory.get(), batches.data(), header);
    return {reinterpret_cast<const Batch*>(memory.get()), int64_t(batches.size())};
}

std::unique_ptr<Plan> make_plan(const int32_t* table, int64_t rows, int filter, int threads) {
    const Kernels& k = kernels();
    const Runs runs = make_runs(filter, run_length(filter));
    auto plan = std::make_unique<Plan>();
    plan->rows = rows, plan->tile_rows = tile_rows_for(rows), plan->filter = filter, plan->made_for = &k;
    const int64_t tiles = (rows + plan->tile_rows - 1) / plan->tile_rows, capacity = plan->tile_rows + 16;
    plan->tiles.resize(size_t(tiles));
    plan->memory.resize(size_t(tiles));
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, tiles)));
    Workspace<Entry> entries(threads, runs.count * runs.lists * capacity);
    Workspace<int32_t> counts(threads, runs.count * runs.lists);
    std::atomic<bool> failed{false};
    parallel(threads, tiles, [&](int64_t tile, int worker) {
        const Lists lists{entries[worker], counts[worker], capacity};
        const int64_t begin = tile * plan->tile_rows, end = std::min(rows, begin + plan->tile_rows);
        try {
            k.list(table, rows * filter, runs, begin, end, lists);
            Tile& made = plan->tiles[size_t(tile)];
            made = make_tile(runs, lists, k.rows, plan->tile_rows, plan->memory[size_t(tile)]);
            int32_t last = -1, seen = plan->last_input;
            for (int64_t b = 0; b < made.count; ++b)
                for (int64_t i = 0; i < made.batches[b].count; ++i)
                    last = std::max(last, made.batches[b].entries[i].in + made.batches[b].length - 1);
            while (seen < last && !plan->last_input.compare_exchange_weak(seen, last)) {
            }
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    });
    if (failed) throw std::bad_alloc();
    return plan;
}

// Packs the weights and runs tile_of(tile, worker) through the kernel for every tile.
template <class TileOf>
void convolve(Conv& conv, int64_t rows, const float* weight, const int64_t* strides, int threads,
              const TileOf& tile_of) {
    const Kernels& k = kernels();
    conv.padded_channels = round_up(conv.out_channels, k.vector);
    auto packed = allocate<float>(conv.filter * conv.in_channels * conv.padded_channels);
    k.pack(weight, strides, conv.filter, conv.in_channels, conv.out_channels, packed.get());
    conv.packed = packed.get();
    Workspace<float> sums(threads, (conv.tile_rows + 1) * conv.padded_channels);
    parallel(threads, (rows + conv.tile_rows - 1) / conv.tile_rows, [&](int64_t tile, int worker) {
        const int64_t begin = tile * conv.tile_rows;
        k.conv(conv, tile_of(tile, worker), begin, std::min(rows, begin + conv.tile_rows), sums[worker]);
    });
}

template <class Work>
int guarded(const Work& work) {
    try {
        work();
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

}  // namespace

// Counts up whenever a function of this interface changes, so that native.py refuses a library of another version.
KIDNEYSEG_API int kidneyseg_interface() { return 1; }

// A plan of an int32 (rows, filter) table for the instruction set in use; null where memory ran out.
KIDNEYSEG_API Plan* kidneyseg_plan(const int32_t* table, int64_t rows, int filter, int threads) {
    Plan* plan = nullptr;
    guarded([&] { plan = make_plan(table, rows, filter, threads).release(); });
    return plan;
}

// The largest row of x that a plan reads, -1 where it reads none.
KIDNEYSEG_API int64_t kidneyseg_plan_last_input(const Plan* plan) { return plan->last_input; }

KIDNEYSEG_API void kidneyseg_free_plan(Plan* plan) { delete plan; }

// What follows returns 0, or 1 where memory ran out. Strides are in floats.

KIDNEYSEG_API int kidneyseg_gather_conv(const Plan* plan, const float* x, int64_t x_stride, const float* weight,
                                        const int64_t* weight_strides, int64_t in, int64_t out,
                                        const Output* outputs, int output_count, int threads) {
    return guarded([&] {
        Conv conv{x, x_stride, plan->filter, in, out, 0, nullptr, plan->tile_rows, outputs, output_count};
        convolve(conv, plan->rows, weight, weight_strides, threads,
                 [&](int64_t tile, int) { return plan->tiles[size_t(tile)]; });
    });
}

KIDNEYSEG_API int kidneyseg_parent_conv(const int32_t* parent, const int32_t* slot, int64_t rows, int filter,
                                        const float* x, int64_t x_stride, const float* weight,
                                        const int64_t* weight_strides, int64_t in, int64_t out,
                                        const Output* outputs, int output_count, int threads) {
    return guarded([&] {
        const int micro_rows = kernels().rows;
        const int64_t tile_rows = tile_rows_for(rows), capacity = tile_rows + 16;
        Workspace<Entry> entries(threads, filter * capacity);
        Workspace<Batch> batches(threads, filter);
        Conv conv{x, x_stride, filter, in, out, 0, nullptr, tile_rows, outputs, output_count};
        convolve(conv, rows, weight, weight_strides, threads, [&](int64_t tile, int worker) {
            Batch* list = batches[worker];
            Entry* e = entries[worker];
            for (int k = 0; k < filter; ++k) list[k] = {k, 1, 0, e + k * capacity};
            const int64_t begin = tile * tile_rows, end = std::min(rows, begin + tile_rows);
            for (int64_t i = begin; i < end; ++i)
                e[slot[i] * capacity + list[slot[i]].count++] = {parent[i], int32_t(i - begin)};
            for (int k = 0; k < filter; ++k)
                for (int64_t i = list[k].count; i < round_up(list[k].count, micro_rows); ++i)
                    e[k * capacity + i] = {e[k * capacity].in, int32_t(tile_rows)};
            return Tile{list, filter};
        });
    });
}

KIDNEYSEG_API int kidneyseg_weight_grad(const Plan* plan, const float* x, const float* grad, int64_t in, int64_t out,
                                        float* weight_grad, int threads) {
    return guarded([&] {
        const Kernels& k = kernels();
        const WeightGrad job{x, grad, in, out, round_up(out, k.vector)};
        const int filter = plan->filter;
        const int64_t size = filter * in * job.padded_channels, tiles = int64_t(plan->tiles.size());
        // Parts of the rows are summed apart, as many as 64 MB of partial sums allow; not by the number of threads,
        // on which the sums would then depend.
        const int64_t memory = std::max<int64_t>(1, (int64_t(1) << 24) / std::max<int64_t>(size, 1));
        const int64_t parts = std::max<int64_t>(1, std::min({int64_t(16), tiles / 8, memory}));
        // Where that is too little to share out, the runs of offsets are shared too.
        const int runs = filter / run_length(filter);
        int splits = 1;
        while (threads > 1 && parts * splits < 4 * threads && splits < runs) ++splits;
        auto sums = allocate<float>(parts * size);
        parallel(threads, parts * splits, [&](int64_t item, int) {
            const int64_t part = item / splits, split = item % splits;
            const int first = int(split * runs / splits) * run_length(filter);
            const int last = int((split + 1) * runs / splits) * run_length(filter);
            float* to = sums.get() + part * size;
            std::memset(to + size / filter * first, 0, size_t(size / filter * (last - first)) * sizeof(float));
            for (int64_t tile = part * tiles / parts; tile < (part + 1) * tiles / parts; ++tile)
                k.weight_grad(job, plan->tiles[size_t(tile)], tile * plan->tile_rows, first, last, to);
        });
        parallel(threads, filter, [&](int64_t offset, int) {
            for (int64_t i = offset * in; i < (offset + 1) * in; ++i)
                for (int64_t c = 0; c < out; ++c) {
                    const float* from = sums.get() + i * job.padded_channels + c;
                    float total = from[0];
                    for (int64_t part = 1; part < parts; ++part) total += from[part * size];
                    weight_grad[i * out + c] = total;
                }
        });
    });
}

// out = leaky_relu(x * scale + shift), row by row.
KIDNEYSEG_API int kidneyseg_affine(const float* x, int64_t x_stride, int64_t rows, int64_t channels,
                                   const Output* output, int threads) {
    return guarded([&] {
        const Kernels& k = kernels();
        const int64_t step = 4096;
        parallel(threads, (rows + step - 1) / step, [&](int64_t item, int) {
            const int64_t begin = item * step, count = std::min(step, rows - begin);
            k.affine(x + begin * x_stride, x_stride, count, channels,
                     {output->rows + begin * output->stride, output->stride, output->scale, output->shift,
                      output->leak});
        });
    });
}
