// A whole Swin layer for one window, while the window is in the cache.
#pragma once

#include "attention.h"
#include "map.h"
#include "norm.h"

namespace catchlight {
namespace {

// GELU in place: floats [channels][64] to factors, integers times the `scale` of their channel.
template <int kHeld>
CATCHLIGHT_INLINE void activate(float* wide, int channels, const float* scale) {
  for (int n = 0; n < channels; n += kHeld) {
    for (int token = 0; token < kTokens; token += kLanes * kAbreast) {
      Vector rows[kHeld][kAbreast];
      CATCHLIGHT_UNROLL
      for (int i = 0; i < kHeld; ++i) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kAbreast; ++v) rows[i][v] = load(wide + (n + i) * kTokens + token + v * kLanes);
        gelu<kHeld>(rows[i]);
        CATCHLIGHT_UNROLL
        for (int v = 0; kInteger<kHeld> && v < kAbreast; ++v) rows[i][v] *= broadcast(scale[n + i]);
      }
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kAbreast; ++v) {
        Vector values[kHeld];
        for (int i = 0; i < kHeld; ++i) values[i] = rows[i][v];
        store(wide + n / kHeld * kTokens + token + v * kLanes, factors_of(values));
      }
    }
  }
}

template <int kHeld>
void run_layer(const LayerCall& call, int window, float* scratch) {
  const Layer& layer = *call.layer;
  const int channels = layer.channels;
  const size_t floats = (size_t)channels * kTokens;
  float *y = scratch, *weights = y + floats, *wide = weights + kTokens * kTokens;
  float* to = call.to + window * floats;
  const float* x = call.from + window * floats;
  if (call.from_shifted != layer.shifted) {
    realign_tile(call.from, call.grid, channels, window, layer.shifted, to);
    x = to;
  }
  const auto keep_normalized = [&](int c, int token, const Vector (&values)[kHeld]) __attribute__((always_inline)) {
    store(y + c / kHeld * kTokens + token, factors_of(values));
  };
  const auto add_to = [&](const float* residual) __attribute__((always_inline)) {
    return [=](int n, int token, const Vector (*rows)[kStrip]) __attribute__((always_inline)) {
      CATCHLIGHT_UNROLL
      for (int i = 0; i < kHeld; ++i) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) {
          const int at = (n + i) * kTokens + token + v * kLanes;
          store(to + at, load(residual + at) + rows[i][v]);
        }
      }
    };
  };

  const float factor = kInteger<kHeld> ? kLargestFactor / __builtin_sqrtf((float)channels) : 1.f;
  normalize<kHeld>(x, channels, factor, keep_normalized);
  project<kHeld>(layer.qkv, y, channels, wide);
  const Place at = place_of(call.grid, window);
  const Cut cut = {layer.shifted && at.row == call.grid.rows - 1, layer.shifted && at.column == call.grid.columns - 1};
  attend<kHeld>(wide, layer, cut, weights, y);
  multiply<kHeld>(layer.proj, y, add_to(x));

  normalize<kHeld>(to, channels, factor, keep_normalized);
  multiply<kHeld>(layer.fc1, y, [&](int n, int token, const Vector (*rows)[kStrip]) __attribute__((always_inline)) {
    CATCHLIGHT_UNROLL
    for (int i = 0; i < kHeld; ++i) {
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) store(wide + (n + i) * kTokens + token + v * kLanes, rows[i][v]);
    }
  });
  activate<kHeld>(wide, layer.fc1.outputs, layer.hidden_scale);
  multiply<kHeld>(layer.fc2, wide, add_to(to));
}

}  // namespace
}  // namespace catchlight
