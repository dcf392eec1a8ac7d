// Submanifold sparse convolution on the CPU: buffers in, buffers out, a plain C interface (see native.py).
//
// Results do not depend on the number of threads: a tile of output rows is computed by one thread from first to last,
// tiles and partial sums are cut by the size of the problem alone, and partial sums are added in a fixed order.

#include "_kernels.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Each instruction set compiles the same source in its own namespace, whatever the compiler's own target is.
#if defined(__x86_64__) && defined(__clang__)
#define BEGIN_TARGET_AVX2 \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define BEGIN_TARGET_AVX512 \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx2,fma\"))), apply_to = function)")
#define END_TARGET _Pragma("clang attribute pop")
#elif defined(__x86_64__)
#define BEGIN_TARGET_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define BEGIN_TARGET_AVX512 _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx2,fma\")")
#define END_TARGET _Pragma("GCC pop_options")
#endif

namespace baseline {  // SSE2 or NEON, whatever the compiler makes of four floats
typedef float V __attribute__((vector_size(16)));
#define SPLAT(s) (V{(s), (s), (s), (s)})
#if defined(__aarch64__)
#define ROWS 8
#else
#define ROWS 6
#endif
#define NAME "baseline"
#include "_kernels_simd.h"
#undef SPLAT
#undef ROWS
#undef NAME
}  // namespace baseline

#if defined(__x86_64__)
#define ROW_BITS(at, active, joined)                                                                           \
    do {                                                                                                       \
        const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));                         \
        const __m256i next = _mm256_loadu_si256(reinterpret_cast<const __m256i*>((at) + 1));                   \
        const __m256i follows = _mm256_cmpeq_epi32(next, _mm256_add_epi32(here, _mm256_set1_epi32(1)));        \
        active = uint64_t(~_mm256_movemask_ps(_mm256_castsi256_ps(here)) & 0xff);                              \
        joined = uint64_t(_mm256_movemask_ps(_mm256_castsi256_ps(follows)));                                   \
    } while (0)

BEGIN_TARGET_AVX2
namespace avx2 {
typedef float V __attribute__((vector_size(32)));
#define SPLAT(s) _mm256_set1_ps(s)
#define ROWS 6
#define NAME "avx2"
#include "_kernels_simd.h"
#undef SPLAT
#undef ROWS
#undef NAME
}  // namespace avx2
END_TARGET

BEGIN_TARGET_AVX512
namespace avx512 {
typedef float V __attribute__((vector_size(64)));
#define SPLAT(s) _mm512_set1_ps(s)
#define ROWS 12
#define NAME "avx512"
#include "_kernels_simd.h"
#undef SPLAT
#undef ROWS
#undef NAME
}  // namespace avx512
END_TARGET
#endif

namespace {

std::atomic<const Kernels*> chosen{nullptr};

const Kernels* supported(int level) {
#if defined(__x86_64__)
    if (level >= 2 && __builtin_cpu_supports("avx512f")) return &avx512::kernels;
    if (level >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kernels;
#endif
    (void)level;
    return &baseline::kernels;
}

const Kernels& kernels() {
    const Kernels* k = chosen.load(std::memory_order_relaxed);
    if (!k) chosen.store(k = supported(2), std::memory_order_relaxed);
    return *k;
}

struct Free {
    void operator()(void* p) const { std::free(p); }
};
template <class T>
using Buffer = std::unique_ptr<T, Free>;

template <class T>
Buffer<T> allocate(int64_t count) {
    const size_t bytes = (size_t(count) * sizeof(T) / 64 + 2) * 64;
    void* p = std::aligned_alloc(64, bytes);
    if (!p) throw std::bad_alloc();
    return Buffer<T>(static_cast<T*>(p));
}

// Calls work(item, worker) for every item; which worker gets which item is left to chance. Threads live for one call:
// a pool would be lost in a forked process, and starting them costs microseconds.
template <class Work>
void parallel(int threads, int64_t items, const Work& work) {
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, items)));
    std::atomic<int64_t> next{0};
    auto loop = [&](int worker) {
        for (int64_t item; (item = next.fetch_add(1)) < items;) work(item, worker);
    };
    std::vector<std::thread> helpers;
    helpers.reserve(size_t(threads));
    try {
        for (int t = 1; t < threads; ++t) helpers.emplace_back(loop, t);
    } catch (const std::exception&) {
        // A system that gives no more threads is served by those it gave.
    }
    loop(0);
    for (auto& helper : helpers) helper.join();
}

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

// Every worker's own memory.
class Workspace {
  public:
    Workspace(int threads, const Runs& runs, int64_t tile_rows, int64_t tile_floats) {
        const int64_t lists = int64_t(runs.count) * runs.lists, capacity = tile_rows + 16;
        for (int t = 0; t < threads; ++t) {
            entries_.push_back(allocate<Entry>(lists * capacity));
            counts_.push_back(allocate<int32_t>(lists));
            tiles_.push_back(allocate<float>(tile_floats));
            pointers_.push_back(allocate<const float*>(2 * capacity));
            scratch_.push_back({entries_.back().get(), counts_.back().get(), tiles_.back().get(),
                                pointers_.back().get(), capacity});
        }
    }
    Scratch& operator[](int worker) { return scratch_[size_t(worker)]; }

  private:
    std::vector<Buffer<Entry>> entries_;
    std::vector<Buffer<int32_t>> counts_;
    std::vector<Buffer<float>> tiles_;
    std::vector<Buffer<const float*>> pointers_;
    std::vector<Scratch> scratch_;
};

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Rows of a tile: enough to fill the lists, few enough that small levels still have work for every thread.
int64_t conv_tile_rows(int64_t rows, int64_t in, int64_t out) {
    const int64_t most = in + out <= 64 ? 512 : 256;
    return std::max<int64_t>(64, std::min(most, round_up(rows / 16, 64)));
}

void convolve(Conv& conv, const float* weight, const int64_t* strides, const Runs& runs, int threads) {
    const Kernels& k = kernels();
    conv.runs = &runs;
    conv.padded_channels = round_up(conv.out_channels, k.vector);
    conv.tile_rows = conv_tile_rows(conv.rows, conv.in_channels, conv.out_channels);
    auto packed = allocate<float>(conv.filter * conv.in_channels * conv.padded_channels);
    k.pack(weight, strides, conv.filter, conv.in_channels, conv.out_channels, packed.get());
    conv.packed = packed.get();
    const int64_t tiles = (conv.rows + conv.tile_rows - 1) / conv.tile_rows;
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, tiles)));
    Workspace scratch(threads, runs, conv.tile_rows, (conv.tile_rows + 1) * conv.padded_channels);
    parallel(threads, tiles, [&](int64_t tile, int worker) { k.conv_tile(conv, scratch[worker], tile); });
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

// The instruction set in use; level 0 asks for the baseline, 1 for at most AVX2, 2 for AVX-512, -1 changes nothing.
KIDNEYSEG_API const char* kidneyseg_instruction_set(int level) {
    if (level >= 0) chosen.store(supported(level));
    return kernels().name;
}

// All return 0, or 1 where memory ran out. Strides are in floats.
KIDNEYSEG_API int kidneyseg_gather_conv(const float* x, int64_t x_stride, const int32_t* table, int64_t rows,
                                        int filter, const float* weight, const int64_t* weight_strides, int64_t in,
                                        int64_t out, const Output* outputs, int output_count, int threads) {
    return guarded([&] {
        Conv conv{};
        conv.x = x, conv.x_stride = x_stride, conv.table = table, conv.table_size = rows * filter;
        conv.filter = filter, conv.in_channels = in, conv.out_channels = out, conv.rows = rows;
        conv.outputs = outputs, conv.output_count = output_count;
        convolve(conv, weight, weight_strides, make_runs(filter, run_length(filter)), threads);
    });
}

KIDNEYSEG_API int kidneyseg_parent_conv(const float* x, int64_t x_stride, const int32_t* parent, const int32_t* slot,
                                        int64_t rows, int filter, const float* weight, const int64_t* weight_strides,
                                        int64_t in, int64_t out, const Output* outputs, int output_count,
                                        int threads) {
    return guarded([&] {
        Conv conv{};
        conv.x = x, conv.x_stride = x_stride, conv.parent = parent, conv.slot = slot;
        conv.filter = filter, conv.in_channels = in, conv.out_channels = out, conv.rows = rows;
        conv.outputs = outputs, conv.output_count = output_count;
        convolve(conv, weight, weight_strides, make_runs(filter, 1), threads);
    });
}

KIDNEYSEG_API int kidneyseg_weight_grad(const float* x, const int32_t* table, int64_t rows, int filter,
                                        const float* grad, int64_t in, int64_t out, float* weight_grad, int threads) {
    return guarded([&] {
        const Kernels& k = kernels();
        const Runs runs = make_runs(filter, run_length(filter));
        WeightGrad job{x, table, rows * filter, grad, &runs, filter, in, out, round_up(out, k.vector), 512};
        const int64_t size = filter * in * job.padded_channels;
        // Parts of the rows are summed apart, as many as 64 MB of partial sums allow.
        const int64_t memory = std::max<int64_t>(1, (int64_t(1) << 24) / std::max<int64_t>(size, 1));
        const int64_t parts = std::max<int64_t>(1, std::min({int64_t(16), rows / 4096, memory}));
        const int64_t part_rows = round_up((rows + parts - 1) / parts, job.tile_rows);
        // Where that is too little work to share out, the runs of offsets are shared too.
        int splits = 1;
        while (parts * splits < 4 * threads && threads > 1 && splits < runs.count) ++splits;
        auto sums = allocate<float>(parts * size);
        const int64_t items = parts * splits;
        threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, items)));
        Workspace scratch(threads, runs, job.tile_rows, job.tile_rows * job.padded_channels);
        parallel(threads, items, [&](int64_t item, int worker) {
            const int64_t part = item / splits, split = item % splits;
            const int first = int(split * runs.count / splits), last = int((split + 1) * runs.count / splits);
            const int64_t a = size / runs.count * first, b = size / runs.count * last;
            std::memset(sums.get() + part * size + a, 0, size_t(b - a) * sizeof(float));
            k.weight_grad_rows(job, scratch[worker], std::min(rows, part * part_rows),
                               std::min(rows, (part + 1) * part_rows), first, last, sums.get() + part * size);
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
