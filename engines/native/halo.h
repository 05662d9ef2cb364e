// A tile with its surroundings, laid out so that a 3x3 convolution reads only whole, aligned vectors.
//
// Plane (a, b) of a channel, 0 <= a, b < 4, holds pixel (2 * ty + a - 1, 2 * tx + b - 1) of the window for each block
// (ty, tx): the 4x4 patch around every 2x2 block, one plane for each of its 16 positions.
#pragma once

#include "map.h"

namespace catchlight {
namespace {

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

// scratch takes channels * kHalo floats for the halo and then a tile of zeros.
CATCHLIGHT_INLINE const float* gather_halo(const float* map, const Grid& grid, int channels, int window,
                                           float* scratch) {
  float* nothing = scratch + (size_t)channels * kHalo;
  std::memset(nothing, 0, sizeof(float) * channels * kTokens);
  const float* around[9];
  neighbours(map, grid, channels, window, nothing, around);
  float* to = scratch;
  for (int c = 0; c < channels; ++c, to += kHalo) {
    CATCHLIGHT_UNROLL
    for (int a = 0; a < 4; ++a) {
      CATCHLIGHT_UNROLL
      for (int y = 0; y < 4; ++y) {
        const int source = a == 0 ? y - 1 : a == 3 ? y + 1 : y;  // row of blocks, -1 and 4 in the neighbours
        const int parity = a % 2 ? 0 : 2;
        const size_t even = c * kTokens + parity * kPlane + (source + 4) % 4 * 4, odd = even + kPlane;
        const float* const* row = around + (source < 0 ? 0 : source > 3 ? 6 : 3);
        const Quad left = load_as<Quad>(row[0] + odd), right = load_as<Quad>(row[2] + even);
        const Quad here_even = load_as<Quad>(row[1] + even), here_odd = load_as<Quad>(row[1] + odd);
        float* quad = to + a * 4 * kPlane + y * 4;
        store(quad, __builtin_shufflevector(left, here_odd, 3, 4, 5, 6));
        store(quad + kPlane, here_even);
        store(quad + 2 * kPlane, here_odd);
        store(quad + 3 * kPlane, __builtin_shufflevector(here_even, right, 1, 2, 3, 4));
      }
    }
  }
  return scratch;
}

}  // namespace
}  // namespace catchlight
