// Plans: kernel maps in the order in which the convolutions process them.
#pragma once

#include "_kernels.h"
#include "_thread_pool.h"

// A kernel map prepared for all the convolutions that run on it.
struct Plan {
    int64_t rows, tile_rows;
    int64_t inputs;  // rows that x must have; -1 for invalid arguments
    int filter;
    const Kernels* made_for;
    std::vector<Tile> tiles;
    std::vector<Buffer<char>> memory;
};

// The number of offsets in a run along z, whose input rows tend to be consecutive.
int run_length(int filter);
