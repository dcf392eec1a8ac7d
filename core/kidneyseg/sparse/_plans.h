// Plans: maps in the order in which the convolutions run through them.
#pragma once

#include "_kernels.h"
#include "_workers.h"

// A map, read once for all the convolutions that run on it.
struct Plan {
    int64_t rows, tile_rows;
    int64_t inputs;  // rows of x that it reads, up to its last; -1 where it was made of what is no map
    int filter;
    const Kernels* made_for;
    std::vector<Tile> tiles;
    std::vector<Buffer<char>> memory;
};

// Offsets of a filter that run along z, whose inputs tend to be consecutive rows.
int run_length(int filter);
