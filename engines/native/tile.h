// The inner loop of the engine: a register tile of outputs x tokens, summed over inputs.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// sum[n][v] += weights[n * kOutputStep + k * kInputStep] * x[k * stride + v * kLanes] for every input k.
template <int kOutputs, int kOutputStep, int kInputStep>
CATCHLIGHT_INLINE void accumulate(Vector (&sum)[kOutputs][kStrip], const float* weights, const float* x, int stride,
                                  int inputs) {
  for (int k = 0; k < inputs; ++k, x += stride, weights += kInputStep) {
    Vector in[kStrip];
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) in[v] = load(x + v * kLanes);
    CATCHLIGHT_UNROLL
    for (int n = 0; n < kOutputs; ++n) {
      const Vector weight = broadcast(weights[n * kOutputStep]);
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) sum[n][v] += in[v] * weight;
    }
  }
}

template <int n>
struct Size {
  static constexpr int value = n;
};

// Cuts outputs into blocks of at most kBlock, as equal as can be, larger ones first: f(Size<n>, first output).
template <class F>
CATCHLIGHT_INLINE void for_each_block(int outputs, F f) {
  const int blocks = (outputs + kBlock - 1) / kBlock, size = outputs / blocks, larger = outputs % blocks;
  for (int b = 0, first = 0; b < blocks; ++b) {
    const int n = size + (b < larger);
    switch (n) {
      case 1: f(Size<1>{}, first); break;
      case 2: f(Size<2>{}, first); break;
      case 3: f(Size<3>{}, first); break;
      case 4: f(Size<4>{}, first); break;
      case 5: f(Size<5>{}, first); break;
      default: f(Size<kBlock>{}, first); break;
    }
    first += n;
  }
}

// W x + b for a tile x; take(output, token, Vector (&)[kStrip]) receives each strip of an output.
template <class Take>
CATCHLIGHT_INLINE void multiply(const Matrix& matrix, const float* x, Take take) {
  for_each_block(matrix.outputs, [&](auto size, int first) __attribute__((always_inline)) {
    constexpr int outputs = decltype(size)::value;
    const float* weights = matrix.weights + (size_t)first * matrix.inputs;
    for (int token = 0; token < kTokens; token += kStripTokens) {
      Vector sum[outputs][kStrip];
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) sum[n][v] = broadcast(matrix.bias[first + n]);
      }
      accumulate<outputs, 1, outputs>(sum, weights, x + token, kTokens, matrix.inputs);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) take(first + n, token, sum[n]);
    }
  });
}

}  // namespace
}  // namespace catchlight
