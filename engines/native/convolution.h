// 3x3 convolution of a map, with what follows it: addition and LayerNorm.
#pragma once

#include "norm.h"
#include "winograd.h"

namespace catchlight {
namespace {

void convolve(const Convolution& call, int window, float* scratch) {
  const size_t tile = (size_t)window * call.matrix.outputs * kTokens;
  float* to = call.to + tile;
  const float* add = call.add ? call.add + tile : nullptr;
  convolve_window(call.matrix, call.from, call.grid, window, scratch,
                  [&](int n, int token, Vector value) __attribute__((always_inline)) {
                    const size_t at = (size_t)n * kTokens + token;
                    store(to + at, add ? value + load(add + at) : value);
                  });
  if (call.normalized) {
    const Affine norm = call.norm;
    normalize(to, call.matrix.outputs, call.normalized + tile,
              [&](int c, Vector x) { return x * norm.gain[c] + norm.bias[c]; });
  }
}

}  // namespace
}  // namespace catchlight
