// The one inner loop of the engine: a register tile of outputs x tokens, summed over inputs (and taps).
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// Where the vectors of a strip lie: beside each other in a matrix ...
struct Beside {
  static constexpr int taps = 1;
  static constexpr int tap(int) { return 0; }
  static constexpr int vector(int v) { return v * kLanes; }
  static int strip(int token) { return token; }
};

// ... or spread over the sixteen planes of a halo (halo.h), where output parity (py, px) under tap (dy, dx) is plane
// (py + dy, px + dx).
struct Spread {
  static constexpr int taps = kTaps;
  static constexpr int tap(int t) { return (t / 3 * 4 + t % 3) * kPlane; }
  static constexpr int vector(int v) { return plane(v * kLanes / kPlane) + v * kLanes % kPlane; }
  static int strip(int token) { return plane(token / kPlane) + token % kPlane; }
  static constexpr int plane(int parity) { return (parity / 2 * 4 + parity % 2) * kPlane; }
};

// sum[n][v] += weight(n, k, t) * x(k, t, v) for every input k and tap t, where weight(n, k, t) is
// weights[n * kOutputStep + (k * taps + t) * kInputStep] and inputs of x lie `stride` floats apart.
template <class Placing, int kOutputs, int kOutputStep, int kInputStep>
CATCHLIGHT_INLINE void accumulate(Vector (&sum)[kOutputs][kStrip], const float* weights, const float* x, int stride,
                                  int inputs) {
  for (int k = 0; k < inputs; ++k, x += stride) {
    CATCHLIGHT_UNROLL
    for (int t = 0; t < Placing::taps; ++t, weights += kInputStep) {
      Vector in[kStrip];
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) in[v] = load(x + Placing::tap(t) + Placing::vector(v));
      CATCHLIGHT_UNROLL
      for (int n = 0; n < kOutputs; ++n) {
        const Vector weight = broadcast(weights[n * kOutputStep]);
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) sum[n][v] += in[v] * weight;
      }
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

// W x + b for the 64 tokens of a window; take(output, token, Vector (&)[kStrip]) receives each strip of an output.
template <class Placing, class Take>
CATCHLIGHT_INLINE void multiply(const Matrix& matrix, const float* x, int stride, Take take) {
  for_each_block(matrix.outputs, [&](auto size, int first) __attribute__((always_inline)) {
    constexpr int outputs = decltype(size)::value;
    const float* weights = matrix.weights + (size_t)first * matrix.inputs * Placing::taps;
    for (int token = 0; token < kTokens; token += kStripTokens) {
      Vector sum[outputs][kStrip];
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) sum[n][v] = broadcast(matrix.bias[first + n]);
      }
      accumulate<Placing, outputs, 1, outputs>(sum, weights, x + Placing::strip(token), stride, matrix.inputs);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) take(first + n, token, sum[n]);
    }
  });
}

}  // namespace
}  // namespace catchlight
