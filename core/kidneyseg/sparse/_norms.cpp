// BatchNorm with its leaky ReLU, forwards and backwards, over rows of channels. Each pass reads its rows once.
//
// Sums are made of chunks of rows, added up in their order: they do not depend on the number of threads. A chunk stays
// in the cache and is short enough for sums in float.

#include "_kernels.h"
#include "_workers.h"

namespace {

constexpr int64_t kChunk = 512;

int64_t chunks_of(int64_t rows) { return (rows + kChunk - 1) / kChunk; }

// work(offset of the chunk's first value, its rows, chunk) for every chunk of rows.
template <class Work>
void each_chunk(int64_t rows, int64_t channels, int threads, const Work& work) {
    parallel(threads, chunks_of(rows), [&](int64_t chunk, int) {
        work(chunk * kChunk * channels, std::min(kChunk, rows - chunk * kChunk), chunk);
    });
}

}  // namespace

// All return 0, or 1 where memory ran out; x, y and gradients are (rows, channels), contiguous.

// Mean and biased variance of each channel.
KIDNEYSEG_API int kidneyseg_norm_statistics(const float* x, int64_t rows, int64_t channels, double* mean,
                                            double* variance, int threads) {
    return guarded([&] {
        auto sums = allocate<float>(chunks_of(rows) * 2 * channels);
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t chunk) {
            float* average = sums.get() + chunk * 2 * channels;
            kernels().norm_statistics(x + at, count, channels, average, average + channels);
        });
        // Chan, Golub and LeVeque: squares around the chunks' means become squares around the mean of all.
        for (int64_t c = 0; c < channels; ++c) mean[c] = variance[c] = 0.0;
        for (int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
            const double before = double(chunk * kChunk), here = double(std::min(kChunk, rows - chunk * kChunk));
            const float* average = sums.get() + chunk * 2 * channels;
            for (int64_t c = 0; c < channels; ++c) {
                const double apart = average[c] - mean[c];
                mean[c] += apart * here / (before + here);
                variance[c] += average[channels + c] + apart * apart * before * here / (before + here);
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

// Of g, the gradient behind the ReLU: the sum, and the sum of g * (x - mean), of each channel.
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

// to_x = g * scale + x * by_x + by_one: the gradient to x, whose way through the statistics is the last two terms.
KIDNEYSEG_API int kidneyseg_norm_backward(const float* x, const float* grad, int64_t rows, int64_t channels,
                                          const Norm* norm, float* to_x, int threads) {
    return guarded([&] {
        each_chunk(rows, channels, threads, [&](int64_t at, int64_t count, int64_t) {
            kernels().norm_backward(x + at, grad + at, count, channels, *norm, rows * channels >= kStreamed, to_x + at);
        });
    });
}
