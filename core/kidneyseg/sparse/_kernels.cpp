// Submanifold sparse convolution on the CPU behind a plain C interface; see native.py.
//
// Results do not depend on the number of threads: each tile of output rows is computed by one thread, tiles and partial
// sums depend on the size of the problem alone, and partial sums are added in a fixed order.

#include "_plans.h"

#include <cstring>

// Increased whenever a function of this interface changes, so that _library.py rejects a library of another version.
KIDNEYSEG_API int kidneyseg_interface() { return 5; }

// The functions below return 0, or 1 when memory ran out. Strides are in floats.

// Writes `start` (unless null) plus the sum of the plan's products to each output. `mirrored`: of the map and filter
// mirrored along the first coordinate, with the sums in the order that they have in the mirror image.
KIDNEYSEG_API int kidneyseg_conv(const Plan* plan, const float* x, int64_t x_stride, const float* weight,
                                 const int64_t* weight_strides, int64_t in, int64_t out, const float* start,
                                 int64_t start_stride, const Output* outputs, int output_count, int mirrored,
                                 int threads) {
    return guarded([&] {
        const Kernels& k = *plan->made_for;
        const int64_t padded = round_up(out, k.vector), tiles = int64_t(plan->tiles.size());
        auto packed = allocate<float>(plan->filter * in * padded);
        const int slab = mirrored ? plan->filter / run_length(plan->filter) : plan->filter;
        k.pack(weight, weight_strides, plan->filter, slab, in, out, packed.get());
        const Conv conv{x,      x_stride,     plan->filter, slab,         in,
                        out,    padded,       packed.get(), start,        start_stride,
                        plan->tile_rows, outputs, output_count, plan->rows * out >= kStreamed};
        Workspace<float> sums(workers_for(threads, tiles), (plan->tile_rows + 1) * padded);
        parallel(threads, tiles, [&](int64_t tile, int worker) {
            const int64_t begin = tile * plan->tile_rows;
            k.conv(conv, plan->tiles[size_t(tile)], begin, std::min(plan->rows, begin + plan->tile_rows), sums[worker]);
        });
    });
}

// The gradient of the weights, summed over the plan.
KIDNEYSEG_API int kidneyseg_weight_grad(const Plan* plan, const float* x, const float* grad, int64_t in, int64_t out,
                                        float* weight_grad, int threads) {
    return guarded([&] {
        const Kernels& k = *plan->made_for;
        const WeightGrad job{x, grad, in, out, round_up(out, k.vector)};
        const int filter = plan->filter;
        const int64_t size = filter * in * job.padded_channels, tiles = int64_t(plan->tiles.size());
        // Rows are summed in as many parts as 64 MB of partial sums allow, independent of the number of threads, on
        // which the results would otherwise depend.
        const int64_t memory = std::max<int64_t>(1, (int64_t(1) << 24) / std::max<int64_t>(size, 1));
        const int64_t parts = std::max<int64_t>(1, std::min({int64_t(16), tiles / 8, memory}));
        // Too few parts for the threads are split further by runs of offsets.
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
