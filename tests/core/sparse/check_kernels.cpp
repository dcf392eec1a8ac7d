// Runs the kernels of every instruction set on a small random problem and compares them with their definition; for
// targets on which Python does not run. Exits with 1 and says what differs.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

struct Output {
    float* rows;
    int64_t stride;
    const float *scale, *shift;
    float leak;
};
extern "C" {
const char* kidneyseg_instruction_set(int level);
void* kidneyseg_plan(const int32_t* table, int64_t rows, int filter, int threads);
void* kidneyseg_neighbour_plan(const int64_t* keys, int64_t rows, int64_t y_size, int64_t z_size, int size,
                               int threads);
void* kidneyseg_parent_plan(const int32_t* parent, const int32_t* slot, int64_t rows, int filter, int threads);
void kidneyseg_free_plan(void* plan);
int kidneyseg_conv(const void* plan, const float* x, int64_t x_stride, const float* weight,
                   const int64_t* weight_strides, int64_t in, int64_t out, const float* start, int64_t start_stride,
                   const Output* outputs, int output_count, int mirrored, int threads);
int kidneyseg_weight_grad(const void* plan, const float* x, const float* grad, int64_t in, int64_t out,
                          float* weight_grad, int threads);
void kidneyseg_neighbour_table(const int64_t* keys, int64_t count, int64_t y_size, int64_t z_size, int size,
                               int32_t* table, int threads);
}

static float draw() {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return float(state >> 8) / float(1 << 23) - 1.0f;
}

static bool close(const std::vector<float>& actual, const std::vector<double>& expected) {
    double largest = 1.0, worst = 0.0;
    for (size_t i = 0; i < actual.size(); ++i) {
        largest = std::max(largest, std::fabs(expected[i]));
        worst = std::max(worst, std::fabs(double(actual[i]) - expected[i]));
    }
    return worst <= 1e-5 * largest;
}

// Frees the plan, which is that of the table.
static bool check(void* plan, const std::vector<int32_t>& table, int64_t rows, int filter, int64_t in, int64_t out) {
    std::vector<float> x(rows * in), weight(filter * in * out), grad(rows * out), shift(out), scale(out);
    std::vector<float> start(rows * out);
    for (auto* values : {&x, &weight, &grad, &shift, &scale, &start})
        for (float& v : *values) v = draw();
    std::vector<double> y(rows * out), normed(rows * out), to_weight(weight.size());
    for (int64_t i = 0; i < rows * out; ++i) y[i] = start[i];
    for (int64_t i = 0; i < rows; ++i)
        for (int k = 0; k < filter; ++k) {
            if (table[i * filter + k] < 0) continue;
            const float* row = &x[table[i * filter + k] * in];
            for (int64_t c = 0; c < in; ++c)
                for (int64_t d = 0; d < out; ++d) {
                    y[i * out + d] += double(row[c]) * weight[(k * in + c) * out + d];
                    to_weight[(k * in + c) * out + d] += double(row[c]) * grad[i * out + d];
                }
        }
    for (int64_t i = 0; i < rows * out; ++i) {
        normed[i] = y[i] * scale[i % out] + shift[i % out];
        if (normed[i] < 0) normed[i] *= 0.25;
    }
    std::vector<float> raw(rows * out), fused(rows * out), weight_grad(weight.size());
    const Output outputs[2] = {{raw.data(), out, nullptr, nullptr, 0.0f},
                               {fused.data(), out, scale.data(), shift.data(), 0.25f}};
    const int64_t strides[3] = {in * out, out, 1};
    kidneyseg_conv(plan, x.data(), in, weight.data(), strides, in, out, start.data(), out, outputs, 2, 0, 2);
    kidneyseg_weight_grad(plan, x.data(), grad.data(), in, out, weight_grad.data(), 2);
    kidneyseg_free_plan(plan);
    const bool good = close(raw, y) && close(fused, normed) && close(weight_grad, to_weight);
    if (!good) std::printf("%s differs: filter %d, %d to %d\n", kidneyseg_instruction_set(-1), filter, int(in), int(out));
    return good;
}

int main() {
    std::vector<int64_t> keys;
    for (int64_t x = 2; x < 12; ++x)
        for (int64_t y = 2; y < 12; ++y)
            for (int64_t z = 2; z < 12; ++z)
                if (draw() > -0.2f) keys.push_back((x * 14 + y) * 14 + z);
    const int64_t rows = int64_t(keys.size());
    bool good = true;
    for (int level = 0; level < 3; ++level) {
        std::printf("%s ", kidneyseg_instruction_set(level));
        for (int size : {1, 3, 5}) {
            const int filter = size * size * size, half = size / 2;
            std::vector<int32_t> table(rows * filter);
            kidneyseg_neighbour_table(keys.data(), rows, 14, 14, size, table.data(), 2);
            for (int64_t i = 0; i < rows; ++i)
                for (int k = 0; k < filter; ++k) {
                    const int64_t key = keys[i] + ((k / size / size - half) * 14 + k / size % size - half) * 14 +
                                        k % size - half;
                    const auto at = std::lower_bound(keys.begin(), keys.end(), key);
                    const int32_t row = at != keys.end() && *at == key ? int32_t(at - keys.begin()) : -1;
                    good = good && table[i * filter + k] == row;
                }
            for (auto& channels : {std::pair<int, int>{1, 16}, {3, 2}, {13, 33}, {16, 50}}) {
                const int in = channels.first, out = channels.second;
                good = check(kidneyseg_plan(table.data(), rows, filter, 2), table, rows, filter, in, out) && good;
                good = check(kidneyseg_neighbour_plan(keys.data(), rows, 14, 14, size, 2), table, rows, filter, in,
                             out) && good;
            }
        }
        std::vector<int32_t> parent(rows), slot(rows), table(rows * 8, -1);
        for (int64_t i = 0; i < rows; ++i) {
            parent[i] = int32_t(i / 3), slot[i] = int32_t(i * 5 % 8);
            table[i * 8 + slot[i]] = parent[i];
        }
        good = check(kidneyseg_parent_plan(parent.data(), slot.data(), rows, 8, 2), table, rows, 8, 16, 24) && good;
    }
    std::printf(good ? "agree\n" : "differ\n");
    return good ? 0 : 1;
}
