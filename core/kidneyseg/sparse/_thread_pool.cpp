// A thread pool for short parallel loops. Its threads spin for a moment before they sleep: a network consists of some
// hundred short loops, and waking a thread can take longer than its share of one.

#include "_thread_pool.h"

#include <condition_variable>
#include <mutex>
#include <unistd.h>

namespace {

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
}

class ThreadPool {
  public:
    explicit ThreadPool(pid_t process) : process(process) {}

    const pid_t process;  // the process that owns the threads: a forked child has none of them
    std::mutex busy;      // held while a loop runs

    void run(int threads, void (*work)(const void*, int), const void* context) {
        grow(threads - 1);
        work_ = work, context_ = context;
        free_workers_.store(threads - 1);
        state_.store(kOpen);
        loops_.fetch_add(1);
        if (sleeping_.load() > 0) {
            std::lock_guard<std::mutex> lock(mutex_);
            wake_.notify_all();
        }
        work(context, 0);
        // Close the loop: a thread that has not joined by now is not waited for.
        state_.fetch_and(~kOpen);
        for (int spin = 0; state_.load() != 0; ++spin)
            if (spin < kSpins) pause_briefly();
            else std::this_thread::yield();  // the other thread may need this core
    }

  private:
    static constexpr uint32_t kOpen = 1u << 31;
    static constexpr int kSpins = 4000;  // about 0.1 ms

    void grow(int size) {
        try {
            while (size_ < size) {
                std::thread([this] { work_on_loops(); }).detach();
                ++size_;
            }
        } catch (const std::exception&) {
            // The system has no more threads: go on with those that were started.
        }
    }

    void work_on_loops() {
        uint64_t seen = 0;
        for (;;) {
            // With more threads than cores, spinning would take a core from a thread that works.
            const int spins = size_.load() < int(std::thread::hardware_concurrency()) ? kSpins : 0;
            for (int spin = 0; spin < spins && loops_.load() == seen; ++spin) pause_briefly();
            if (loops_.load() == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                sleeping_.fetch_add(1);
                wake_.wait(lock, [&] { return loops_.load() != seen; });
                sleeping_.fetch_sub(1);
            }
            seen = loops_.load();
            join_loop();
        }
    }

    // Joins the loop if it is still open. `run` then waits until this thread has left it.
    void join_loop() {
        uint32_t state = state_.load();
        do {
            if (!(state & kOpen)) return;
        } while (!state_.compare_exchange_weak(state, state + 1));
        const int worker = free_workers_.fetch_sub(1);
        if (worker > 0) work_(context_, worker);
        state_.fetch_sub(1);
    }

    void (*work_)(const void*, int) = nullptr;
    const void* context_ = nullptr;
    std::atomic<int> free_workers_{0}, sleeping_{0}, size_{0};
    std::atomic<uint32_t> state_{0};  // kOpen while threads may join, plus the number of threads that have joined
    std::atomic<uint64_t> loops_{0};  // loops started so far
    std::mutex mutex_;
    std::condition_variable wake_;
};

// Never destroyed: its threads may outlive everything else at exit.
std::atomic<ThreadPool*> pool{nullptr};

ThreadPool& pool_of_this_process() {
    ThreadPool* current = pool.load();
    while (!current || current->process != getpid()) {
        ThreadPool* fresh = new ThreadPool(getpid());
        if (pool.compare_exchange_strong(current, fresh)) return *fresh;
        delete fresh;
    }
    return *current;
}

}  // namespace

void run_on_pool(int threads, void (*work)(const void*, int), const void* context) {
    if (threads > 1) {
        ThreadPool& ours = pool_of_this_process();
        std::unique_lock<std::mutex> lock(ours.busy, std::try_to_lock);
        // Where another caller holds the pool, this one works alone: results do not depend on the number of workers.
        if (lock.owns_lock()) return ours.run(threads, work, context);
    }
    work(context, 0);
}
