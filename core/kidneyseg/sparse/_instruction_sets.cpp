// The kernels compiled for every instruction set, and the choice among them at run time.

#include "_kernels.h"

#include <atomic>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Each instruction set compiles the same source in its own namespace, whatever the compiler's default target is.
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

// Lets tests run the AVX-512 kernels on processors without it: the compiler splits each vector into two.
#if defined(KIDNEYSEG_EMULATE_AVX512)
#undef BEGIN_TARGET_AVX512
#define BEGIN_TARGET_AVX512 BEGIN_TARGET_AVX2
#define SPLAT_AVX512(s) ((s) - V{})
#define STREAM_AVX512(p, v) store(p, v)
#define HAS_AVX512 true
#elif defined(__x86_64__)
#define SPLAT_AVX512(s) _mm512_set1_ps(s)
#define STREAM_AVX512(p, v) _mm512_stream_ps(p, v)
#define HAS_AVX512 __builtin_cpu_supports("avx512f")
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

namespace baseline {  // vectors of four floats: SSE2 or NEON
typedef float V __attribute__((vector_size(16)));
#define SPLAT(s) (V{(s), (s), (s), (s)})
#if defined(__aarch64__)
#define ROWS 8
#else
#define ROWS 6
#endif
#define NAME "baseline"
#define STREAM(p, v) store(p, v)
#define FENCE() ((void)0)
#include "_kernels_simd.h"
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
#define STREAM(p, v) _mm256_stream_ps(p, v)
#define FENCE() _mm_sfence()
#include "_kernels_simd.h"
}  // namespace avx2
END_TARGET

BEGIN_TARGET_AVX512
namespace avx512 {
typedef float V __attribute__((vector_size(64)));
#define SPLAT(s) SPLAT_AVX512(s)
#define ROWS 12
#define NAME "avx512"
#define STREAM(p, v) STREAM_AVX512(p, v)
#define FENCE() _mm_sfence()
#include "_kernels_simd.h"
}  // namespace avx512
END_TARGET
#endif

namespace {

std::atomic<const Kernels*> chosen{nullptr};

const Kernels* supported(int level) {
#if defined(__x86_64__)
    if (level >= 2 && HAS_AVX512) return &avx512::kernels;
    if (level >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kernels;
#endif
    (void)level;
    return &baseline::kernels;
}

}  // namespace

const Kernels& kernels() {
    const Kernels* k = chosen.load(std::memory_order_relaxed);
    if (!k) chosen.store(k = supported(2), std::memory_order_relaxed);
    return *k;
}

// The instruction set in use, after limiting it to the baseline (level 0), AVX2 (1) or AVX-512 (2); -1 changes nothing.
KIDNEYSEG_API const char* kidneyseg_instruction_set(int level) {
    if (level >= 0) chosen.store(supported(level));
    return kernels().name;
}
