// The threads that help in parallel loops. They stay, and look out for the next loop for a moment before they sleep: a
// network is some hundred short loops, and waking a thread can take longer than its share of one.

#include "_workers.h"

#include <condition_variable>
#include <mutex>

#if defined(_WIN32)
static int process_id() { return 0; }
#else
#include <unistd.h>
static int process_id() { return int(getpid()); }
#endif

namespace {

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
}

class Crew {
  public:
    explicit Crew(int process) : process(process) {}

    const int process;  // that started the threads: a forked child has none of them

    // work(context, worker) on this thread as worker 0, and on up to threads - 1 others that come in time.
    void run(int threads, void (*work)(const void*, int), const void* context) {
        grow(threads - 1);
        work_ = work, context_ = context;
        seats_.store(threads - 1);
        state_.store(kOpen);
        calls_.fetch_add(1);
        if (sleeping_.load() > 0) {
            std::lock_guard<std::mutex> lock(mutex_);
            wake_.notify_all();
        }
        work(context, 0);
        // Whoever has not come by now is not waited for.
        state_.fetch_and(~kOpen);
        for (int look = 0; state_.load() != 0; ++look)
            if (look < kLooks) pause_briefly();
            else std::this_thread::yield();  // the other thread may be waiting for this core
    }

    std::mutex busy;  // one loop at a time

  private:
    static constexpr uint32_t kOpen = 1u << 31;
    static constexpr int kLooks = 4000;  // a tenth of a millisecond or so

    void grow(int helpers) {
        try {
            while (helpers_ < helpers) {
                std::thread([this] { serve(); }).detach();
                ++helpers_;
            }
        } catch (const std::exception&) {
            // A system that gives no more threads is served by those it gave.
        }
    }

    void serve() {
        uint64_t seen = 0;
        for (;;) {
            // With more threads than cores, to look out would be to keep others from working.
            const int looks = helpers_.load() < int(std::thread::hardware_concurrency()) ? kLooks : 0;
            for (int look = 0; look < looks && calls_.load() == seen; ++look) pause_briefly();
            if (calls_.load() == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                sleeping_.fetch_add(1);
                wake_.wait(lock, [&] { return calls_.load() != seen; });
                sleeping_.fetch_sub(1);
            }
            seen = calls_.load();
            help();
        }
    }

    void help() {
        uint32_t state = state_.load();
        do {
            if (!(state & kOpen)) return;
        } while (!state_.compare_exchange_weak(state, state + 1));
        // From here on the loop is not over without this thread.
        const int seat = seats_.fetch_sub(1);
        if (seat > 0) work_(context_, seat);
        state_.fetch_sub(1);
    }

    void (*work_)(const void*, int) = nullptr;
    const void* context_ = nullptr;
    std::atomic<int> seats_{0}, sleeping_{0};
    std::atomic<uint32_t> state_{0};  // kOpen while help is welcome, and how many are helping
    std::atomic<uint64_t> calls_{0};
    std::atomic<int> helpers_{0};
    std::mutex mutex_;
    std::condition_variable wake_;
};

// Never destroyed: its threads may outlive everything else at exit.
std::atomic<Crew*> crew{nullptr};

Crew& crew_of_this_process() {
    Crew* there = crew.load();
    while (!there || there->process != process_id()) {
        Crew* fresh = new Crew(process_id());
        if (crew.compare_exchange_strong(there, fresh)) return *fresh;
        delete fresh;
    }
    return *there;
}

}  // namespace

void with_helpers(int threads, void (*work)(const void*, int), const void* context) {
    if (threads > 1) {
        Crew& helpers = crew_of_this_process();
        std::unique_lock<std::mutex> lock(helpers.busy, std::try_to_lock);
        // Another caller has the crew: results do not depend on how many work, so this one goes on alone.
        if (lock.owns_lock()) return helpers.run(threads, work, context);
    }
    work(context, 0);
}
