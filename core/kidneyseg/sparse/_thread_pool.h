// The thread pool, parallel loops on it, and aligned memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

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

inline int workers_for(int threads, int64_t items) {
    return int(std::max<int64_t>(1, std::min<int64_t>(threads, items)));
}

// Calls work(context, worker) on this thread as worker 0 and in parallel on up to threads - 1 threads of the pool.
void run_on_pool(int threads, void (*work)(const void* context, int worker), const void* context);

// Calls work(item, worker) for every item. Items are assigned to workers dynamically. `work` must not throw.
template <class Work>
void parallel(int threads, int64_t items, const Work& work) {
    std::atomic<int64_t> next{0};
    const auto loop = [&](int worker) {
        for (int64_t item; (item = next.fetch_add(1)) < items;) work(item, worker);
    };
    using Loop = decltype(loop);
    run_on_pool(
        workers_for(threads, items), [](const void* context, int worker) { (*static_cast<Loop*>(context))(worker); },
        &loop);
}

// Bounds of equal parts of `count` items: at most one part per thread, of at least 1024 items.
inline std::vector<int64_t> even_parts(int64_t count, int threads) {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, count / 1024));
    std::vector<int64_t> bounds;
    for (int64_t p = 0; p <= parts; ++p) bounds.push_back(count * p / parts);
    return bounds;
}

// Calls work(part, begin, end) for each part in parallel.
template <class Work>
void each_part(const std::vector<int64_t>& bounds, const Work& work) {
    const int parts = int(bounds.size()) - 1;
    parallel(parts, parts, [&](int64_t part, int) { work(part, bounds[size_t(part)], bounds[size_t(part) + 1]); });
}

inline int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// One buffer per worker.
template <class T>
class Workspace {
  public:
    Workspace(int threads, int64_t count) {
        for (int t = 0; t < threads; ++t) buffers_.push_back(allocate<T>(count));
    }
    T* operator[](int worker) { return buffers_[size_t(worker)].get(); }

  private:
    std::vector<Buffer<T>> buffers_;
};

// Runs the work. Returns 1 when memory ran out, else 0.
template <class Work>
int guarded(const Work& work) {
    try {
        work();
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}
