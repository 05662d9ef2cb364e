// LayerNorm over the channels of each token.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// to = (from - mean) / sqrt(variance + 1e-5), for a tile; finish(channel, Vector) has the last word on each value.
template <class Finish>
CATCHLIGHT_INLINE void normalize(const float* from, int channels, float* to, Finish finish) {
  const float share = 1.f / (float)channels;
  for (int token = 0; token < kTokens; token += kStripTokens) {
    Vector mean[kStrip] = {}, scale[kStrip] = {};
    const float* x = from + token;
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < kStrip; ++v) mean[v] += load(x + c * kTokens + v * kLanes);
    }
    for (int v = 0; v < kStrip; ++v) mean[v] *= share;
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < kStrip; ++v) {
        const Vector d = load(x + c * kTokens + v * kLanes) - mean[v];
        scale[v] += d * d;
      }
    }
    for (int v = 0; v < kStrip; ++v) scale[v] = 1.f / square_root(scale[v] * share + 1e-5f);
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < kStrip; ++v) {
        const Vector d = load(x + c * kTokens + v * kLanes) - mean[v];
        store(to + token + c * kTokens + v * kLanes, finish(c, d * scale[v]));
      }
    }
  }
}

}  // namespace
}  // namespace catchlight
