// A thread pool for short parallel loops. Its threads spin for a moment before they sleep: a network consists of some
// hundred short loops, and waking a thread can take longer than its share of one.
//
// A thread that has joined a loop holds an item of it, and the caller must wait for that item, even while the system runs
// another process in the thread's place. On a busy machine this can cost more than the thread contributes. Loops are
// therefore not shared for a while where sharing was measured to be slow.

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

// Decides whether loops are shared with the pool's threads, by the CPU time that all threads spend on items per second.
// On idle cores it is the number of threads. Where threads wait for each other or other processes run, it is less.
class Sharing {
  public:
    bool on() const { return on_; }

    // Accounts for a loop that took `seconds` from `start` on and in which all its threads worked for `worked`.
    void account(double start, double seconds, double worked) {
        if (start - end_ > kForget) *this = Sharing();
        end_ = start + seconds;
        seconds_ += seconds, worked_ += worked;
        if (seconds_ < (on_ ? kWindow : pause_)) return;
        const bool slow = on_ && worked_ < kEnough * seconds_;
        if (!on_) pause_ = std::min(2.0 * pause_, kLongestPause);
        else if (!slow) pause_ = kPause;
        on_ = !slow;
        seconds_ = worked_ = 0.0;
    }

  private:
    static constexpr double kEnough = 0.7;   // about what the caller alone gets beside two other threads on two cores
    static constexpr double kWindow = 0.08;  // seconds over which the rate is measured: many time slices
    static constexpr double kPause = 0.8, kLongestPause = 3.2;  // seconds without sharing before it is tried again
    static constexpr double kForget = 10.0;  // seconds without a loop after which the past no longer counts

    bool on_ = true;
    double end_ = 0.0, seconds_ = 0.0, worked_ = 0.0, pause_ = kPause;
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
        {
            std::lock_guard<std::mutex> lock(mutex_);
            places_ = 0;
        }
        for (int spin = 0; joined_.load() > 0; ++spin)
            if (spin < kSpins) pause_briefly();
            else std::this_thread::yield();  // a thread that has joined may need this core
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
            joined_.fetch_sub(1);
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
