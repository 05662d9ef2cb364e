// Finding tiles in a map, and moving between plain and shifted maps.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

struct Place {
  int image, row, column;
};

CATCHLIGHT_INLINE Place place_of(const Grid& grid, int window) {
  const int in_image = grid.rows * grid.columns;
  const int image = window / in_image, rest = window % in_image;
  return {image, rest / grid.columns, rest % grid.columns};
}

// Offset of a tile of that many floats.
CATCHLIGHT_INLINE size_t offset_of(const Grid& grid, Place at, size_t floats) {
  return (((size_t)at.image * grid.rows + at.row) * grid.columns + at.column) * floats;
}

// The tile of a shifted map from the plain map, or the other way round: the same half-window move, once forwards and
// once backwards. Every quad of blocks is the right half of one tile's and the left half of its neighbour's.
CATCHLIGHT_INLINE void realign_tile(const float* map, const Grid& grid, int channels, int window, bool to_shifted,
                                    float* to) {
  const Place at = place_of(grid, window);
  const int step_row = to_shifted ? at.row + 1 : at.row - 1 + grid.rows;
  const int step_column = to_shifted ? at.column + 1 : at.column - 1 + grid.columns;
  const int row = step_row % grid.rows, column = step_column % grid.columns;
  const int top = to_shifted ? at.row : row, bottom = to_shifted ? row : at.row;
  const int left = to_shifted ? at.column : column, right = to_shifted ? column : at.column;
  const size_t floats = (size_t)channels * kTokens;
  const float* from[2][2] = {
      {map + offset_of(grid, {at.image, top, left}, floats), map + offset_of(grid, {at.image, top, right}, floats)},
      {map + offset_of(grid, {at.image, bottom, left}, floats),
       map + offset_of(grid, {at.image, bottom, right}, floats)},
  };
  for (int plane = 0; plane < channels * 4; ++plane) {
    CATCHLIGHT_UNROLL
    for (int y = 0; y < 4; ++y) {
      const size_t source = plane * kPlane + (y + 2) % 4 * 4;
      const Quad l = load_as<Quad>(from[y / 2][0] + source), r = load_as<Quad>(from[y / 2][1] + source);
      store(to + plane * kPlane + y * 4, shuffle<2, 3, 4, 5>(l, r));
    }
  }
}

void realign(const Realigning& call, int window) {
  const size_t floats = (size_t)call.channels * kTokens;
  float* to = call.to + window * floats;
  realign_tile(call.from, call.grid, call.channels, window, false, to);
}

}  // namespace
}  // namespace catchlight
