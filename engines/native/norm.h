// LayerNorm over the channels of each token.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// (from - mean) / sqrt(variance + 1e-5) times `factor`, for a tile; take(channel, token, values) receives a vector of
// each of kHeld channels.
template <int kHeld, class Take>
CATCHLIGHT_INLINE void normalize(const float* from, int channels, float factor, Take take) {
  constexpr int kWide = 4;  // vectors of tokens at a time: sums that do not wait for each other
  const float share = 1.f / (float)channels;
  for (int token = 0; token < kTokens; token += kWide * kLanes) {
    Vector mean[kWide] = {}, scale[kWide] = {};
    const float* x = from + token;
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < kWide; ++v) mean[v] += load(x + c * kTokens + v * kLanes);
    }
    for (int v = 0; v < kWide; ++v) mean[v] *= share;
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < kWide; ++v) {
        const Vector d = load(x + c * kTokens + v * kLanes) - mean[v];
        scale[v] += d * d;
      }
    }
    for (int v = 0; v < kWide; ++v) scale[v] = factor / square_root(scale[v] * share + 1e-5f);
    for (int c = 0; c < channels; c += kHeld) {
      for (int v = 0; v < kWide; ++v) {
        Vector values[kHeld];
        for (int i = 0; i < kHeld; ++i) values[i] = (load(x + (c + i) * kTokens + v * kLanes) - mean[v]) * scale[v];
        take(c, token + v * kLanes, values);
      }
    }
  }
}

}  // namespace
}  // namespace catchlight
