// Plans from tables, from the keys of neighbouring sites, and from parents.

#include "_plans.h"

#include <cstring>

namespace {

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

// Rows of a tile: enough to fill its lists, few enough that small levels have work for every thread. Independent of the
// number of threads, since a tile's size can affect the order of its sums.
int64_t tile_rows_for(int64_t rows) {
    return std::max<int64_t>(64, std::min<int64_t>(512, round_up(rows / 16, 64)));
}

// Turns a worker's lists into a tile, in each run the longest segments first. Segments that do not fill a micro-kernel
// are cut into shorter ones, so that only single offsets need padding.
Tile make_tile(const Runs& runs, const Lists& lists, int micro_rows, int64_t tile_rows, Buffer<char>& memory) {
    std::vector<Batch> batches;
    const int length = runs.length;
    int64_t total = 0;
    for (int run = 0; run < runs.count; ++run) {
        int32_t* counts = lists.counts + run * runs.lists;
        Entry* entries = lists.entries + run * runs.lists * lists.capacity;
        for (int part = length; part >= 1; --part)
            for (int first = 0; first + part <= length; ++first) {
                const int list = first * length + part - 1, last = (first + part - 1) * length;
                Entry* e = entries + list * lists.capacity;
                if (part > 1)
                    for (; counts[list] % micro_rows; --counts[list]) {
                        const Entry cut = e[counts[list] - 1];
                        entries[(list - 1) * lists.capacity + counts[list - 1]++] = cut;
                        entries[last * lists.capacity + counts[last]++] = {cut.in + part - 1, cut.out};
                    }
                const int64_t count = counts[list], padded = round_up(count, micro_rows);
                for (int64_t i = count; i < padded; ++i) e[i] = {e[0].in, int32_t(tile_rows)};
                if (count) batches.push_back({run * length + first, part, count, e});
                total += padded;
            }
    }
    const int64_t header = int64_t(batches.size() * sizeof(Batch));
    // The kernels prefetch a few entries ahead, also after the last one.
    memory = allocate<char>(header + (total + kReadAhead) * int64_t(sizeof(Entry)));
    Entry* to = reinterpret_cast<Entry*>(memory.get() + header);
    for (Batch& batch : batches) {
        const int64_t padded = round_up(batch.count, micro_rows);
        std::memcpy(to, batch.entries, size_t(padded) * sizeof(Entry));
        batch.entries = to;
        to += padded;
    }
    std::fill_n(to, kReadAhead, Entry{0, 0});
    std::memcpy(memory.get(), batches.data(), size_t(header));
    return {reinterpret_cast<const Batch*>(memory.get()), int64_t(batches.size())};
}

// A plan from fill(begin, end, worker, lists), which writes the lists of rows begin ... end.
template <class Fill>
std::unique_ptr<Plan> make_plan(int64_t rows, const Runs& runs, int threads, const Fill& fill) {
    auto plan = std::make_unique<Plan>();
    plan->rows = plan->inputs = rows, plan->tile_rows = tile_rows_for(rows);
    plan->filter = runs.count * runs.length, plan->made_for = &kernels();
    const int64_t tiles = (rows + plan->tile_rows - 1) / plan->tile_rows, capacity = plan->tile_rows + 16;
    plan->tiles.resize(size_t(tiles));
    plan->memory.resize(size_t(tiles));
    threads = workers_for(threads, tiles);
    Workspace<Entry> entries(threads, runs.count * runs.lists * capacity);
    Workspace<int32_t> counts(threads, runs.count * runs.lists);
    std::atomic<bool> failed{false};
    parallel(threads, tiles, [&](int64_t tile, int worker) {
        const Lists lists{entries[worker], counts[worker], capacity};
        const int64_t begin = tile * plan->tile_rows, end = std::min(rows, begin + plan->tile_rows);
        try {
            fill(begin, end, worker, lists);
            plan->tiles[size_t(tile)] =
                make_tile(runs, lists, plan->made_for->rows, plan->tile_rows, plan->memory[size_t(tile)]);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    });
    if (failed) throw std::bad_alloc();
    return plan;
}

// The largest number seen by any thread; -1 if there was none.
class Largest {
  public:
    void see(const int32_t* numbers, int64_t count) {
        int32_t here = -1;
        for (int64_t i = 0; i < count; ++i) here = std::max(here, numbers[i]);
        int32_t before = largest_.load();
        while (before < here && !largest_.compare_exchange_weak(before, here)) {}
    }
    int64_t get() const { return largest_.load(); }

  private:
    std::atomic<int32_t> largest_{-1};
};

template <class Make>
Plan* plan_or_null(const Make& make) {
    Plan* plan = nullptr;
    guarded([&] { plan = make().release(); });
    return plan;
}

}  // namespace

int run_length(int filter) {
    for (int size = 2; size <= kLongestRun; ++size)
        if (size * size * size == filter) return size;
    return 1;
}

// Plans are made for the instruction set in use. Null when memory ran out.

// The plan of an int32 (rows, filter) table.
KIDNEYSEG_API Plan* kidneyseg_plan(const int32_t* table, int64_t rows, int filter, int threads) {
    return plan_or_null([&] {
        const Runs runs = make_runs(filter, run_length(filter));
        Largest last;
        auto plan = make_plan(rows, runs, threads, [&](int64_t begin, int64_t end, int, const Lists& lists) {
            last.see(table + begin * filter, (end - begin) * filter);
            kernels().list(table, rows * filter, runs, begin, end, lists);
        });
        plan->inputs = last.get() + 1;
        return plan;
    });
}

// The plan of sites with these increasing keys and a size^3 filter. The table is never held as a whole.
KIDNEYSEG_API Plan* kidneyseg_neighbour_plan(const int64_t* keys, int64_t rows, int64_t y_size, int64_t z_size,
                                             int size, int threads) {
    return plan_or_null([&] {
        const int filter = size * size * size;
        const Runs runs = make_runs(filter, run_length(filter));
        const int64_t longest = tile_rows_for(rows) * filter + 16;
        Workspace<int32_t> tables(workers_for(threads, rows), longest);
        return make_plan(rows, runs, threads, [&](int64_t begin, int64_t end, int worker, const Lists& lists) {
            neighbour_rows(keys, rows, y_size, z_size, size, begin, end, tables[worker]);
            kernels().list(tables[worker], longest, runs, 0, end - begin, lists);
        });
    });
}

// The plan of rows that each read one input row, parent[i] >= 0, under the offset 0 <= slot[i] < filter. Returns a plan
// with -1 inputs, which must not be run, for other values.
KIDNEYSEG_API Plan* kidneyseg_parent_plan(const int32_t* parent, const int32_t* slot, int64_t rows, int filter,
                                          int threads) {
    return plan_or_null([&] {
        const Runs runs = make_runs(filter, 1);
        Largest last;
        std::atomic<bool> wrong{false};
        auto plan = make_plan(rows, runs, threads, [&](int64_t begin, int64_t end, int, const Lists& lists) {
            last.see(parent + begin, end - begin);
            for (int i = 0; i < runs.count * runs.lists; ++i) lists.counts[i] = 0;
            for (int64_t i = begin; i < end; ++i) {
                if (parent[i] < 0 || slot[i] < 0 || slot[i] >= filter) {
                    wrong = true;
                    return;
                }
                const int list = slot[i] * runs.lists;
                lists.entries[list * lists.capacity + lists.counts[list]++] = {parent[i], int32_t(i - begin)};
            }
        });
        plan->inputs = wrong ? -1 : last.get() + 1;
        return plan;
    });
}

// The number of rows that x must have.
KIDNEYSEG_API int64_t kidneyseg_plan_inputs(const Plan* plan) { return plan->inputs; }

KIDNEYSEG_API void kidneyseg_free_plan(Plan* plan) { delete plan; }
