// The norms of a chunk of rows; part of _kernels_simd.h. T is V for whole vectors of channels and float for the
// remaining channels. One column of channels is processed for all rows before the next.

template <class T>
static inline T get(const float* p) {
    if constexpr (sizeof(T) == sizeof(float))
        return *p;
    else
        return load(p);
}
template <class T, bool STREAMED = false>
static inline void put(float* p, T value) {
    if constexpr (sizeof(T) == sizeof(float))
        *p = value;
    else
        write<STREAMED>(p, value);
}
template <class T>
static inline T splat(float value) {
    if constexpr (sizeof(T) == sizeof(float))
        return value;
    else
        return SPLAT(value);
}

// The gradient before the ReLU.
template <class T>
static inline T relu_grad(T x, T grad, T scale, T shift, T leak) {
    return x * scale + shift > T{} ? grad : grad * leak;
}

template <class T>
static void statistics_of(const float* x, int64_t rows, int64_t stride, float* mean_of_chunk, float* squares) {
    T sum{}, square{};
    for (int64_t i = 0; i < rows; ++i) sum += get<T>(x + i * stride);
    const T mean = sum / splat<T>(float(rows));
    for (int64_t i = 0; i < rows; ++i) {
        const T deviation = get<T>(x + i * stride) - mean;
        square += deviation * deviation;
    }
    put(mean_of_chunk, mean), put(squares, square);
}

template <class T, bool STREAMED>
static void forward_of(const float* x, int64_t rows, int64_t stride, const Norm& norm, int64_t c, float* y) {
    const T scale = get<T>(norm.scale + c), shift = get<T>(norm.shift + c), leak = splat<T>(norm.leak);
    for (int64_t i = c; i < rows * stride; i += stride) {
        const T value = get<T>(x + i) * scale + shift;
        put<T, STREAMED>(y + i, value > T{} ? value : value * leak);
    }
}

template <class T>
static void sums_of(const float* x, const float* grad, int64_t rows, int64_t stride, const Norm& norm, int64_t c,
                    float* total, float* moment) {
    const T scale = get<T>(norm.scale + c), shift = get<T>(norm.shift + c), leak = splat<T>(norm.leak);
    const T mean = get<T>(norm.mean + c);
    T sum{}, product{};
    for (int64_t i = c; i < rows * stride; i += stride) {
        const T value = get<T>(x + i), g = relu_grad(value, get<T>(grad + i), scale, shift, leak);
        sum += g;
        product += g * (value - mean);
    }
    put(total + c, sum), put(moment + c, product);
}

template <class T, bool STREAMED>
static void backward_of(const float* x, const float* grad, int64_t rows, int64_t stride, const Norm& norm, int64_t c,
                        float* grad_x) {
    const T scale = get<T>(norm.scale + c), shift = get<T>(norm.shift + c), leak = splat<T>(norm.leak);
    const T slope = get<T>(norm.grad_slope + c), offset = get<T>(norm.grad_offset + c);
    for (int64_t i = c; i < rows * stride; i += stride) {
        const T value = get<T>(x + i), g = relu_grad(value, get<T>(grad + i), scale, shift, leak);
        put<T, STREAMED>(grad_x + i, g * scale + value * slope + offset);
    }
}

static void norm_statistics(const float* x, int64_t rows, int64_t channels, float* mean, float* squares) {
    int64_t c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) statistics_of<V>(x + c, rows, channels, mean + c, squares + c);
    for (; c < channels; ++c) statistics_of<float>(x + c, rows, channels, mean + c, squares + c);
}

// Whether to bypass the caches: only where a vector fills a cache line, since columns are written one at a time.
static inline bool to_stream(const float* to, int64_t channels, bool large) {
    return large && sizeof(V) == 64 && aligned(to, channels);
}

static void norm_forward(const float* x, int64_t rows, int64_t channels, const Norm& norm, bool large, float* y) {
    const bool streamed = to_stream(y, channels, large);
    int64_t c = 0;
    const auto forward = streamed ? forward_of<V, true> : forward_of<V, false>;
    for (; c + WIDTH <= channels; c += WIDTH) forward(x, rows, channels, norm, c, y);
    for (; c < channels; ++c) forward_of<float, false>(x, rows, channels, norm, c, y);
    if (streamed) FENCE();
}

static void norm_sums(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                      float* total, float* moment) {
    int64_t c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) sums_of<V>(x, grad, rows, channels, norm, c, total, moment);
    for (; c < channels; ++c) sums_of<float>(x, grad, rows, channels, norm, c, total, moment);
}

static void norm_backward(const float* x, const float* grad, int64_t rows, int64_t channels, const Norm& norm,
                          bool large, float* grad_x) {
    const bool streamed = to_stream(grad_x, channels, large);
    int64_t c = 0;
    const auto backward = streamed ? backward_of<V, true> : backward_of<V, false>;
    for (; c + WIDTH <= channels; c += WIDTH) backward(x, grad, rows, channels, norm, c, grad_x);
    for (; c < channels; ++c) backward_of<float, false>(x, grad, rows, channels, norm, c, grad_x);
    if (streamed) FENCE();
}
