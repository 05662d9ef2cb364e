// 3x3 convolution of a map, with what follows it: addition and LayerNorm.
#pragma once

#include "norm.h"
#include "winograd.h"

namespace catchlight {
namespace {

template <int kHeld>
CATCHLIGHT_INLINE void convolve_packed(const Convolution& call, int window, float* scratch) {
  const size_t tile = (size_t)window * call.matrix.outputs * kTokens;
  float* to = call.to + tile;
  const float* add = call.add ? call.add + tile : nullptr;
  convolve_window<kHeld>(call.matrix, call.from, call.grid, window, scratch,
                  [&](int n, int token, Vector value) __attribute__((always_inline)) {
                    const size_t at = (size_t)n * kTokens + token;
                    store(to + at, add ? value + load(add + at) : value);
                  });
  if (call.normalized) {
    const Affine norm = call.norm;
    float* normalized = call.normalized + tile;
    normalize<kPack>(to, call.matrix.outputs, 1.f, [&](int c, int token, const Vector (&values)[kPack]) {
      for (int i = 0; i < kPack; ++i) {
        store(normalized + (c + i) * kTokens + token, values[i] * norm.gain[c + i] + norm.bias[c + i]);
      }
    });
  }
}

void convolve(const Convolution& call, int window, float* scratch) {
  if (call.matrix.pack == 1) {
    convolve_packed<1>(call, window, scratch);
  } else {
    convolve_packed<kMostHeld>(call, window, scratch);
  }
}

}  // namespace
}  // namespace catchlight
