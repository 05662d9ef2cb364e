// The 4x4 pixels around every 2x2 block of a window, as whole vectors: what a 3x3 convolution of the block needs.
//
// Plane (a, b), 0 <= a, b < 4, holds pixel (2 * ty + a - 1, 2 * tx + b - 1) of the window for each block (ty, tx). Four
// of the planes are the tile itself, by parity; the others are moved by a block and filled from the neighbours.
#pragma once

#include "map.h"

namespace catchlight {
namespace {

constexpr int kPatch = 4;
constexpr int kPoints = kPatch * kPatch;

// Tiles of a map around a window, row by row; `nothing` stands for those outside the image.
CATCHLIGHT_INLINE void neighbours(const float* map, const Grid& grid, int channels, int window, const float* nothing,
                                  const float* (&around)[9]) {
  const Place at = place_of(grid, window);
  for (int i = 0; i < 9; ++i) {
    const int row = at.row + i / 3 - 1, column = at.column + i % 3 - 1;
    const bool inside = row >= 0 && row < grid.rows && column >= 0 && column < grid.columns;
    around[i] = inside ? map + offset_of(grid, {at.image, row, column}, (size_t)channels * kTokens) : nothing;
  }
}

#if defined(__AVX512F__)

// Blocks of one parity from the tile in the middle of three, moved by -1, 0 or 1 rows of blocks.
CATCHLIGHT_INLINE Vector moved(const float* const* column, size_t at, int rows) {
  const Vector here = load(column[3] + at);
  if (rows < 0) {
    return shuffle<12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27>(load(column[0] + at), here);
  }
  if (rows > 0) {
    return shuffle<4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19>(here, load(column[6] + at));
  }
  return here;
}

// All planes of a channel, one vector each; `block` is 0.
CATCHLIGHT_INLINE void planes_around(const float* const (&around)[9], int channel, int block, Vector (&d)[kPoints]) {
  CATCHLIGHT_UNROLL
  for (int a = 0; a < kPatch; ++a) {
    const int rows = a == 0 ? -1 : a == 3 ? 1 : 0;
    const size_t even = channel * kTokens + (a % 2 ? 0 : 2) * kPlane + block, odd = even + kPlane;
    const Vector left = moved(around, odd, rows), right = moved(around + 2, even, rows);
    const Vector here_even = moved(around + 1, even, rows), here_odd = moved(around + 1, odd, rows);
    d[a * kPatch] = shuffle<3, 16, 17, 18, 7, 20, 21, 22, 11, 24, 25, 26, 15, 28, 29, 30>(left, here_odd);
    d[a * kPatch + 1] = here_even;
    d[a * kPatch + 2] = here_odd;
    d[a * kPatch + 3] = shuffle<1, 2, 3, 16, 5, 6, 7, 20, 9, 10, 11, 24, 13, 14, 15, 28>(here_even, right);
  }
}

#else

// All planes of a channel for the blocks of one vector, `block` the first: a row of blocks or two.
CATCHLIGHT_INLINE void planes_around(const float* const (&around)[9], int channel, int block, Vector (&d)[kPoints]) {
  CATCHLIGHT_UNROLL
  for (int a = 0; a < kPatch; ++a) {
    const int parity = a % 2 ? 0 : 2, rows = a == 0 ? -1 : a == 3 ? 1 : 0;
    float joined[kPatch][kLanes];
    for (int i = 0; i < kLanes; i += 4) {
      const int source = (block + i) / 4 + rows;  // -1 and 4 lie in the neighbours
      const float* const* row = around + (source < 0 ? 0 : source > 3 ? 6 : 3);
      const size_t even = channel * kTokens + parity * kPlane + (source + 4) % 4 * 4, odd = even + kPlane;
      const Quad left = load_as<Quad>(row[0] + odd), right = load_as<Quad>(row[2] + even);
      const Quad here_even = load_as<Quad>(row[1] + even), here_odd = load_as<Quad>(row[1] + odd);
      store(joined[0] + i, shuffle<3, 4, 5, 6>(left, here_odd));
      store(joined[1] + i, here_even);
      store(joined[2] + i, here_odd);
      store(joined[3] + i, shuffle<1, 2, 3, 4>(here_even, right));
    }
    for (int b = 0; b < kPatch; ++b) d[a * kPatch + b] = load(joined[b]);
  }
}

#endif

}  // namespace
}  // namespace catchlight
