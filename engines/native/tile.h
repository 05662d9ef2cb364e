// The inner loop of the engine: a register tile of outputs x tokens, summed over inputs.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// sum[n][v] += weights[n * kOutputStep + k * kInputStep] * x[k * stride + v * kLanes] for every lane of factors k.
template <int kHeld, int kOutputs, int kOutputStep, int kInputStep>
CATCHLIGHT_INLINE void accumulate(Vector (&sum)[kOutputs][kStrip], const float* weights, const float* x, int stride,
                                  int inputs) {
  for (int k = 0; k < inputs; ++k, x += stride, weights += kInputStep) {
    Vector in[kStrip];
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) in[v] = load(x + v * kLanes);
    CATCHLIGHT_UNROLL
    for (int n = 0; n < kOutputs; ++n) {
      const Vector weight = broadcast_factors<kHeld>(weights + n * kOutputStep);
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) sum[n][v] = multiply_add<kHeld>(sum[n][v], in[v], weight);
    }
  }
}

// Lanes of kHeld numbers that hold so many.
template <int kHeld>
CATCHLIGHT_INLINE constexpr int lanes_for(int numbers) {
  return (numbers + kHeld - 1) / kHeld;
}

template <int n>
struct Size {
  static constexpr int value = n;
};

// f(Size<lanes * kHeld>), for at most kMost lanes.
template <int kMost, int kHeld, class F>
CATCHLIGHT_INLINE void with_size(int lanes, F f) {
  if constexpr (kMost == 1) {
    f(Size<kHeld>{});
  } else if (lanes == kMost) {
    f(Size<kMost * kHeld>{});
  } else {
    with_size<kMost - 1, kHeld>(lanes, f);
  }
}

// Cuts outputs into blocks of at most kBlock, as equal as can be, larger ones first, and none through the middle of a
// lane: f(Size<n>, first output).
template <int kHeld, class F>
CATCHLIGHT_INLINE void for_each_block(int outputs, F f) {
  constexpr int kMost = kBlock / kHeld;
  const int lanes = outputs / kHeld, blocks = (lanes + kMost - 1) / kMost;
  const int size = lanes / blocks, larger = lanes % blocks;
  for (int b = 0, first = 0; b < blocks; ++b) {
    const int here = size + (b < larger);
    with_size<kMost, kHeld>(here, [&](auto n) __attribute__((always_inline)) { f(n, first); });
    first += here * kHeld;
  }
}

// Stores kHeld channels from `channel` on, one strip of tokens, as factors: [channels / kHeld][64].
template <int kHeld>
CATCHLIGHT_INLINE void store_factors(float* to, int channel, int token, const Vector (*rows)[kStrip]) {
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kStrip; ++v) {
    Vector values[kHeld];
    CATCHLIGHT_UNROLL
    for (int i = 0; i < kHeld; ++i) values[i] = rows[i][v];
    store(to + channel / kHeld * kTokens + token + v * kLanes, factors_of(values));
  }
}

#if defined(CATCHLIGHT_AVX2_ONLY)
// The same for sums of a Matrix of integers without a scale.
CATCHLIGHT_INLINE void store_upper(float* to, int channel, int token, const Vector (*sums)[kStrip]) {
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kStrip; ++v) {
    store(to + channel / 2 * kTokens + token + v * kLanes, upper_halves(sums[0][v], sums[1][v]));
  }
}
#endif

// W x + b for a tile x of factors; take(output, token, rows) receives a strip of each of kHeld outputs, or with kUpper
// the sums of a Matrix of integers without a scale.
template <int kHeld, bool kUpper = false, class Take>
CATCHLIGHT_INLINE void multiply(const Matrix& matrix, const float* x, Take take) {
  const int inputs = lanes_for<kHeld>(matrix.inputs);
  for_each_block<kHeld>(matrix.outputs, [&](auto size, int first) __attribute__((always_inline)) {
    constexpr int outputs = decltype(size)::value;
    const float* weights = matrix.weights + (size_t)first * inputs;
    for (int token = 0; token < kTokens; token += kStripTokens) {
      Vector sum[outputs][kStrip];
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) {
          const float* bias = matrix.bias + first + n;
          sum[n][v] = kUpper ? broadcast_factors<kHeld>(bias) : first_sum<kHeld>(broadcast(*bias));
        }
      }
      accumulate<kHeld, outputs, 1, outputs>(sum, weights, x + token, kTokens, inputs);
      CATCHLIGHT_UNROLL
      for (int n = 0; kInteger<kHeld> && !kUpper && n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) {
          sum[n][v] = last_sum<kHeld>(sum[n][v], matrix.scale, first + n, broadcast(matrix.bias[first + n]));
        }
      }
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; n += kHeld) take(first + n, token, sum + n);
    }
  });
}

}  // namespace
}  // namespace catchlight
