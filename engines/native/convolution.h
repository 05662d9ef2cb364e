// 3x3 convolution of a map with zeros around the image, with what follows it: addition and LayerNorm.
#pragma once

#include "halo.h"
#include "norm.h"
#include "tile.h"

namespace catchlight {
namespace {

void convolve(const Convolution& call, int window, float* scratch) {
  const Matrix& matrix = call.matrix;
  const float* halo = gather_halo(call.from, call.grid, matrix.inputs, window, scratch);
  const size_t tile = (size_t)window * matrix.outputs * kTokens;
  float* to = call.to + tile;
  const float* add = call.add ? call.add + tile : nullptr;
  multiply<Spread>(matrix, halo, kHalo, [&](int n, int token, Vector (&sum)[kStrip]) __attribute__((always_inline)) {
    const size_t at = (size_t)n * kTokens + token;
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) {
      store(to + at + v * kLanes, add ? sum[v] + load(add + at + v * kLanes) : sum[v]);
    }
  });
  if (call.normalized) {
    const Affine norm = call.norm;
    normalize(to, matrix.outputs, call.normalized + tile,
              [&](int c, Vector x) { return x * norm.gain[c] + norm.bias[c]; });
  }
}

}  // namespace
}  // namespace catchlight
