// A thread pool for short parallel loops. Its threads spin for a moment before they sleep: a network consists of some
// hundred short loops, and waking a thread can take longer than its share of one.
//
// A thread that has joined a loop holds an item of it, and the caller must wait for that item, even while the system runs
// another process in the thread's place. On a busy machine this can cost more than the thread contributes. The pool
// therefore measures both ways and takes the better one.

#include "_thread_pool.h"

#include <condition_variable>
#include <ctime>
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

double seconds_on(clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// Decides whether loops are shared with the pool's threads, by the CPU time spent on items per second. It is the number of
// threads on idle cores, at most 1 for the caller alone, and less for either where threads wait or other processes run.
class Sharing {
  public:
    bool on() const { return on_; }

    // Accounts for a loop that took `seconds` from `start` on and in which all its threads worked for `worked`.
    void account(double start, double seconds, double worked) {
        if (start - end_ > kForget) *this = Sharing();
        end_ = start + seconds;
        seconds_ += seconds, worked_ += worked;
        if (seconds_ < kWindow) return;
        const double rate = worked_ / seconds_;
        seconds_ = worked_ = 0.0;
        if (windows_ > 0) {
            --windows_;
        } else if (on_) {
            if (rate < kClearlyBetter) on_ = false, shared_rate_ = rate, trial_ = true;
        } else if (trial_ && rate < shared_rate_) {
            on_ = true, trial_ = false, windows_ = kKeep;
        } else if (trial_) {
            trial_ = false, windows_ = kKeep;
        } else {
            on_ = true;
        }
    }

  private:
    static constexpr double kWindow = 0.02;         // seconds over which a rate is measured: some time slices
    static constexpr double kForget = 1.0;          // seconds without a loop after which rates no longer count
    static constexpr double kClearlyBetter = 1.1;   // rates from which on the caller alone cannot be faster
    static constexpr int kKeep = 8;                 // windows for which the better way is kept before the next trial

    bool on_ = true, trial_ = false;
    int windows_ = 0;
    double end_ = 0.0, seconds_ = 0.0, worked_ = 0.0, shared_rate_ = 0.0;
};

class ThreadPool {
  public:
    explicit ThreadPool(pid_t process) : process(process) {}

    const pid_t process;  // the process that owns the threads: a forked child has none of them
    std::mutex busy;      // held while a loop runs

    void run(int threads, void (*work)(const void*, int), const void* context) {
        const double start = seconds_on(CLOCK_MONOTONIC);
        worked_ = 0.0;
        if (sharing_.on()) open(threads - 1, work, context);
        const double worked = timed(work, context, 0);
        if (sharing_.on()) close();
        sharing_.account(start, seconds_on(CLOCK_MONOTONIC) - start, worked_ + worked);
    }

  private:
    static constexpr int kSpins = 4000;  // about 0.1 ms

    // Does the work and returns the CPU time it took.
    static double timed(void (*work)(const void*, int), const void* context, int worker) {
        const double start = seconds_on(CLOCK_THREAD_CPUTIME_ID);
        work(context, worker);
        return seconds_on(CLOCK_THREAD_CPUTIME_ID) - start;
    }

    void open(int places, void (*work)(const void*, int), const void* context) {
        grow(places);
        std::lock_guard<std::mutex> lock(mutex_);
        work_ = work, context_ = context, places_ = places;
        loops_.fetch_add(1);
        if (sleeping_ > 0) wake_.notify_all();
    }

    // Closes the loop and waits for the threads that have joined it, not for others.
    void close() {
        std::unique_lock<std::mutex> lock(mutex_);
        places_ = 0;
        lock.unlock();
        for (int spin = 0; spin < kSpins && joined_.load() > 0; ++spin) pause_briefly();
        lock.lock();
        left_.wait(lock, [&] { return joined_.load() == 0; });
    }

    void grow(int size) {
        try {
            for (; size_ < size; ++size_) std::thread([this] { work_on_loops(); }).detach();
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
            std::unique_lock<std::mutex> lock(mutex_);
            ++sleeping_;
            wake_.wait(lock, [&] { return loops_.load() != seen; });
            --sleeping_;
            seen = loops_.load();
            if (places_ == 0) continue;
            const int worker = places_--;
            joined_.fetch_add(1);
            lock.unlock();
            const double worked = timed(work_, context_, worker);
            lock.lock();
            worked_ += worked;
            if (joined_.fetch_sub(1) == 1) left_.notify_one();
        }
    }

    Sharing sharing_;
    std::mutex mutex_;  // guards the following, of which some are also read without it
    void (*work_)(const void*, int) = nullptr;
    const void* context_ = nullptr;
    int places_ = 0, sleeping_ = 0;  // threads that may still join the loop; threads that sleep
    double worked_ = 0.0;            // CPU time of the threads that have left it
    std::atomic<int> joined_{0}, size_{0};  // threads in the loop; all threads
    std::atomic<uint64_t> loops_{0};        // loops started so far
    std::condition_variable wake_, left_;
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
