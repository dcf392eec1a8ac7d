// BatchNorm with its leaky ReLU, forward and backward.
//
// Sums are computed per chunk of rows and added in order, so that they do not depend on the number of threads. A chunk
// stays in the cache and is short enough to be summed in float.

#include "_kernels.h"
#include "_thread_pool.h"

namespace {

constexpr int64_t kChunk = 512;

int64_t chunks_of(int64_t rows) { return (rows + kChunk - 1) / kChunk; }

// Calls work(offset of the chunk's first value, its number of rows, chunk) for every chunk.
template <class Work>
void each_chunk(int64_t rows, int64_t channels, int threads, const Work& work) {
    parallel(threads, chunks_of(rows), [&](int64_t chunk, int) {
        work(chunk * kChunk * channels, std::min(kChunk, rows - chunk * kChunk), chunk);
    });
}

}  // namespace

// All return 0, or 1 when memory ran out. x, y and gradients are (rows, channels), contiguous.

// Mean and biased variance of each channel.
KIDNEYSEG_API int kidneyseg_norm_statistics(const float* x, int64_t rows, int64_t channels, double* mean,
                                            double* variance, int threads) {
    return guarded([&] {
        auto sums = allocate<float>(chunks_of(rows) * 2 * channels);
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t chunk) {
            float* here = sums.get() + chunk * 2 * channels;
            kernels().norm_statistics(x + at, count, channels, here, here + channels);
        });
        // Chan, Golub and LeVeque's update: from squares around the chunks' means to squares around the overall mean.
        for (int64_t c = 0; c < channels; ++c) mean[c] = variance[c] = 0.0;
        for (int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
            const double before = double(chunk * kChunk), here = double(std::min(kChunk, rows - chunk * kChunk));
            const float* chunk_mean = sums.get() + chunk * 2 * channels;
            for (int64_t c = 0; c < channels; ++c) {
                const double delta = chunk_mean[c] - mean[c];
                mean[c] += delta * here / (before + here);
                variance[c] += chunk_mean[channels + c] + delta * delta * before * here / (before + here);
            }
        }
        for (int64_t c = 0; c < channels; ++c) variance[c] /= double(rows);
    });
}

// y = leaky_relu(x * scale + shift).
KIDNEYSEG_API int kidneyseg_norm_forward(const float* x, int64_t rows, int64_t channels, const Norm* norm, float* y,
                                         int threads) {
    return guarded([&] {
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t) {
            kernels().norm_forward(x + at, count, channels, *norm, rows * channels >= kStreamed, y + at);
        });
    });
}

// With g the gradient before the ReLU: the sums of g and of g * (x - mean) for each channel.
KIDNEYSEG_API int kidneyseg_norm_sums(const float* x, const float* grad, int64_t rows, int64_t channels,
                                      const Norm* norm, double* total, double* moment, int threads) {
    return guarded([&] {
        auto sums = allocate<float>(chunks_of(rows) * 2 * channels);
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t chunk) {
            float* here = sums.get() + chunk * 2 * channels;
            kernels().norm_sums(x + at, grad + at, count, channels, *norm, here, here + channels);
        });
        for (int64_t c = 0; c < channels; ++c) total[c] = moment[c] = 0.0;
        for (int64_t chunk = 0; chunk < chunks_of(rows); ++chunk)
            for (int64_t c = 0; c < channels; ++c) {
                total[c] += sums.get()[chunk * 2 * channels + c];
                moment[c] += sums.get()[(chunk * 2 + 1) * channels + c];
            }
    });
}

// grad_x = g * scale + x * grad_slope + grad_offset; the last two terms are the gradient through the statistics.
KIDNEYSEG_API int kidneyseg_norm_backward(const float* x, const float* grad, int64_t rows, int64_t channels,
                                          const Norm* norm, float* grad_x, int threads) {
    return guarded([&] {
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t) {
            const bool large = rows * channels >= kStreamed;
            kernels().norm_backward(x + at, grad + at, count, channels, *norm, large, grad_x + at);
        });
    });
}
