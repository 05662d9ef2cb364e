// A whole Swin layer for one window, while the window is in the cache.
#pragma once

#include "attention.h"
#include "map.h"
#include "norm.h"

namespace catchlight {
namespace {

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
  const auto as_it_is = [](int, Vector value) { return value; };
  const auto keep = [&](int n, int token, Vector (&sum)[kStrip]) __attribute__((always_inline)) {
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) store(wide + n * kTokens + token + v * kLanes, sum[v]);
  };
  const auto add_to = [&](const float* residual) __attribute__((always_inline)) {
    return [=](int n, int token, Vector (&sum)[kStrip]) __attribute__((always_inline)) {
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) {
        const int at = n * kTokens + token + v * kLanes;
        store(to + at, load(residual + at) + sum[v]);
      }
    };
  };

  normalize(x, channels, y, as_it_is);
  multiply(layer.qkv, y, keep);
  const Place at = place_of(call.grid, window);
  const Cut cut = {layer.shifted && at.row == call.grid.rows - 1, layer.shifted && at.column == call.grid.columns - 1};
  attend(wide, channels, layer.heads, layer.position, cut, weights, y);
  multiply(layer.proj, y, add_to(x));

  normalize(to, channels, y, as_it_is);
  multiply(layer.fc1, y, keep);
  for (int i = 0; i < layer.fc1.outputs * kTokens; i += kLanes) store(wide + i, gelu(load(wide + i)));
  multiply(layer.fc2, wide, add_to(to));
}

}  // namespace
}  // namespace catchlight
