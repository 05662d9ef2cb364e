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

// Rows of blocks of one parity, one or two, from the tile in the middle of three on; rows -1 and 4 lie in the others.
CATCHLIGHT_INLINE Vector rows_of(const float* const* column, size_t at, int row) {
  const auto quad = [=](int i) __attribute__((always_inline)) {
    return load_as<Quad>(column[i < 0 ? 0 : i > 3 ? 6 : 3] + at + (i + 4) % 4 * 4);
  };
#if defined(__AVX2__)
  if (row >= 0 && row < 3) return load(column[3] + at + row * 4);
  return (Vector)_mm256_set_m128((__m128)quad(row + 1), (__m128)quad(row));
#else
  return quad(row);
#endif
}

// Every row of blocks moved by a block, the one that comes in from the other tile.
CATCHLIGHT_INLINE Vector from_left(Vector left, Vector here) {
#if defined(__AVX2__)
  return shuffle<3, 8, 9, 10, 7, 12, 13, 14>(left, here);
#else
  return shuffle<3, 4, 5, 6>(left, here);
#endif
}
CATCHLIGHT_INLINE Vector from_right(Vector here, Vector right) {
#if defined(__AVX2__)
  return shuffle<1, 2, 3, 8, 5, 6, 7, 12>(here, right);
#else
  return shuffle<1, 2, 3, 4>(here, right);
#endif
}

// All planes of a channel for the blocks of one vector, `block` the first: a row of blocks or two.
CATCHLIGHT_INLINE void planes_around(const float* const (&around)[9], int channel, int block, Vector (&d)[kPoints]) {
  CATCHLIGHT_UNROLL
  for (int a = 0; a < kPatch; ++a) {
    const int row = block / 4 + (a == 0 ? -1 : a == 3 ? 1 : 0);
    const size_t even = channel * kTokens + (a % 2 ? 0 : 2) * kPlane, odd = even + kPlane;
    const Vector here_even = rows_of(around + 1, even, row), here_odd = rows_of(around + 1, odd, row);
    d[a * kPatch] = from_left(rows_of(around, odd, row), here_odd);
    d[a * kPatch + 1] = here_even;
    d[a * kPatch + 2] = here_odd;
    d[a * kPatch + 3] = from_right(here_even, rows_of(around + 2, even, row));
  }
}

#endif

}  // namespace
}  // namespace catchlight
