// The kernels of one instruction set. Included once for each, inside its own namespace, with these defined:
// V (vector type), SPLAT(float), STREAM(float*, V) (a store that bypasses the caches), FENCE() (makes such stores
// visible to other threads), ROWS (rows of the micro-kernel), NAME, and optionally ROW_BITS. All but ROW_BITS are
// undefined again.

constexpr int WIDTH = sizeof(V) / sizeof(float);
constexpr int PANEL = 2 * WIDTH;  // columns that a full micro-kernel computes
typedef V Loose __attribute__((aligned(4), may_alias));

static inline V load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<Loose*>(p) = v; }

// Keeps a pointer in a register of its own. Otherwise GCC derives several pointers from one base and their distances,
// runs out of registers for those, and every multiplication waits for two loads.
#define PINNED(pointer) __asm__("" : "+r"(pointer))

#include "_lists_simd.h"
#include "_conv_simd.h"
#include "_weight_grad_simd.h"
#include "_norms_simd.h"

static const Kernels kernels = {NAME,        WIDTH,           ROWS,         pack,      list,         conv,
                                weight_grad, norm_statistics, norm_forward, norm_sums, norm_backward};

#undef SPLAT
#undef STREAM
#undef FENCE
#undef ROWS
#undef NAME
