// A whole Swin layer for one window, while the window is in the cache.
#pragma once

#include "attention.h"
#include "attention_int16.h"
#include "map.h"
#include "norm.h"

namespace catchlight {
namespace {

// fc1, for activate().
template <int kHeld>
CATCHLIGHT_INLINE void expand(const Matrix& fc1, const float* x, float* wide) {
  multiply<kHeld>(fc1, x, [=](int n, int token, const Vector (*rows)[kStrip]) __attribute__((always_inline)) {
    CATCHLIGHT_UNROLL
    for (int i = 0; i < kHeld; ++i) {
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) store(wide + (n + i) * kTokens + token + v * kLanes, rows[i][v]);
    }
  });
}

// GELU in place: floats [channels][64] to factors.
template <int kHeld>
CATCHLIGHT_INLINE void activate(float* wide, int channels, [[maybe_unused]] const float* constants) {
  for (int n = 0; n < channels; n += kHeld) {
    for (int token = 0; token < kTokens; token += kLanes * kAbreast) {
      Vector rows[kHeld][kAbreast];
      CATCHLIGHT_UNROLL
      for (int i = 0; i < kHeld; ++i) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kAbreast; ++v) rows[i][v] = load(wide + (n + i) * kTokens + token + v * kLanes);
        gelu<kHeld>(rows[i]);
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

#if defined(CATCHLIGHT_AVX2_ONLY)
// The same in integers, which are factors from the beginning.
template <>
CATCHLIGHT_INLINE void expand<2>(const Matrix& fc1, const float* x, float* wide) {
  multiply<2, true>(fc1, x, [=](int n, int token, const Vector (*sums)[kStrip]) __attribute__((always_inline)) {
    store_upper(wide, n, token, sums);
  });
}

template <>
CATCHLIGHT_INLINE void activate<2>(float* wide, int channels, const float* constants) {
  for (int n = 0; n < channels; n += 2, constants += kGeluConstants) {
    const Gelu16 gelu(constants);
    for (int token = 0; token < kTokens; token += kAbreast * kLanes) {
      float* at = wide + n / 2 * kTokens + token;
      __m256i rows[kAbreast];
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kAbreast; ++v) rows[v] = load_integers(at + v * kLanes);
      gelu(rows);
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kAbreast; ++v) store(at + v * kLanes, rows[v]);
    }
  }
}
#endif

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
  const Place at = place_of(call.grid, window);
  const Cut cut = {layer.shifted && at.row == call.grid.rows - 1, layer.shifted && at.column == call.grid.columns - 1};
#if defined(CATCHLIGHT_AVX2_ONLY)
  if (kInteger<kHeld> && layer.fraction_bits) {
    project_in_integers(layer, y, wide);
    attend_in_integers(wide, layer, cut, weights, y);
  } else
#endif
  {
    project<kHeld>(layer.qkv, y, channels, wide);
    attend<kHeld>(wide, layer, cut, weights, y);
  }
  multiply<kHeld>(layer.proj, y, add_to(x));

  normalize<kHeld>(to, channels, factor, keep_normalized);
  expand<kHeld>(layer.fc1, y, wide);
  activate<kHeld>(wide, layer.fc1.outputs, layer.gelu);
  multiply<kHeld>(layer.fc2, wide, add_to(to));
}

}  // namespace
}  // namespace catchlight
