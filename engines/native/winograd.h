// 3x3 convolution by Winograd's F(2x2, 3x3) (Lavin and Gray 2016, arXiv 1509.09308): 16 multiplications for the four
// outputs of a 2x2 block instead of 36. A window has 16 blocks, a vector lane for each, and tokens are ordered so that
// its inputs (halo.h) and outputs are whole vectors. Zeros surround the image.
//
// Transformed inputs (factors, kHeld channels in a lane) and products are [strip of points][channel][kStripTokens], 16
// points of 16 blocks in all. kHeld is the matrix's `pack`. Integers are made of floats when all are known, so that the
// largest of a window becomes kLargestFactor.
#pragma once

#include "halo.h"
#include "tile.h"

namespace catchlight {
namespace {

// One dimension of B^T d: from four pixels to four points.
CATCHLIGHT_INLINE void transform(Vector& a, Vector& b, Vector& c, Vector& d) {
  const Vector points[kPatch] = {a - c, b + c, c - b, b - d};
  a = points[0], b = points[1], c = points[2], d = points[3];
}

CATCHLIGHT_INLINE float* at_point(float* from, int channels, int channel, int point, int block) {
  const int token = point * kPlane + block;
  return from + ((size_t)(token / kStripTokens) * channels + channel) * kStripTokens + token % kStripTokens;
}

// All points of one channel for the blocks of one vector.
CATCHLIGHT_INLINE void transform_channel(const float* const (&around)[9], int channel, int block,
                                         Vector (&d)[kPoints]) {
  planes_around(around, channel, block, d);
  CATCHLIGHT_UNROLL
  for (int b = 0; b < kPatch; ++b) transform(d[b], d[4 + b], d[8 + b], d[12 + b]);
  CATCHLIGHT_UNROLL
  for (int a = 0; a < kPatch; ++a) transform(d[4 * a], d[4 * a + 1], d[4 * a + 2], d[4 * a + 3]);
}

template <int kHeld>
CATCHLIGHT_INLINE void transform_inputs(const float* const (&around)[9], int channels, float* to) {
  const int lanes = lanes_for<kHeld>(channels);
  for (int lane = 0; lane < lanes; ++lane) {
    CATCHLIGHT_UNROLL
    for (int block = 0; block < kPlane; block += kLanes) {
      Vector points[kHeld][kPoints] = {};
      for (int i = 0; i < kHeld && lane * kHeld + i < channels; ++i) {
        transform_channel(around, lane * kHeld + i, block, points[i]);
      }
      CATCHLIGHT_UNROLL
      for (int point = 0; point < kPoints; ++point) {
        Vector values[kHeld];
        CATCHLIGHT_UNROLL
        for (int i = 0; i < kHeld; ++i) values[i] = points[i][point];
        store(at_point(to, lanes, lane, point, block), factors_of(values));
      }
    }
  }
}

// Floats [strip][channel][kStripTokens] to integers [strip][lane of channels][kStripTokens], in place; `factor`:
// what they must be multiplied by to be what they were. It lies in memory, as no register is left for it meanwhile.
template <int kHeld>
CATCHLIGHT_INLINE void round_inputs(int channels, float* x, float* factor) {
  constexpr int kStrips = kPoints * kPlane / kStripTokens;
  Vector largest[kStrip] = {};
  for (int i = 0; i < channels * kStrips; ++i) {
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) {
      largest[v] = larger(magnitude(load(x + i * kStripTokens + v * kLanes)), largest[v]);
    }
  }
  float most = 1e-30f;
  for (const Vector& each : largest) {
    for (int i = 0; i < kLanes; ++i) most = each[i] > most ? each[i] : most;
  }
  *factor = most / kLargestFactor;
  const Vector scale = broadcast(kLargestFactor / most);
  const float* from = x;
  for (int strip = 0; strip < kStrips; ++strip) {
    for (int channel = 0; channel < channels; channel += kHeld, x += kStripTokens) {
      const int here = channels - channel < kHeld ? channels - channel : kHeld;
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) {
        Vector values[kHeld] = {};
        for (int i = 0; i < here; ++i) values[i] = load(from + i * kStripTokens + v * kLanes) * scale;
        store(x + v * kLanes, factors_of(values));
      }
      from += here * kStripTokens;
    }
  }
}

// As accumulate(), but every point has weights of its own, `point_step` floats apart.
template <int kHeld, int kOutputs>
CATCHLIGHT_INLINE void accumulate_points(Vector (&sum)[kOutputs][kStrip], const float* weights, size_t point_step,
                                         const float* x, int inputs) {
  for (int k = 0; k < inputs; ++k, x += kStripTokens, weights += kOutputs) {
    Vector in[kStrip];
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kStrip; ++v) in[v] = load(x + v * kLanes);
    CATCHLIGHT_UNROLL
    for (int n = 0; n < kOutputs; ++n) {
      CATCHLIGHT_UNROLL
      for (int v = 0; v < kStrip; ++v) {
        const float* weight = weights + v * kLanes / kPlane * point_step + n;
        if constexpr (kInteger<kHeld>) {
          sum[n][v] = multiply_add<kHeld>(sum[n][v], in[v], broadcast_factors<kHeld>(weight));
        } else {
          sum[n][v] = multiply_add_once<kHeld>(sum[n][v], in[v], weight);
        }
      }
    }
  }
}

// Products of all points: to[strip][output] = sum over inputs.
template <int kHeld>
CATCHLIGHT_INLINE void multiply_points(const Matrix& matrix, const float* x, float* to) {
  const int inputs = lanes_for<kHeld>(matrix.inputs);
  const size_t point_step = (size_t)inputs * matrix.outputs;
  for (int token = 0; token < kPoints * kPlane; token += kStripTokens) {
    const float* weights = matrix.weights + token / kPlane * point_step;
    for_each_block<kHeld>(matrix.outputs, [&](auto size, int first) __attribute__((always_inline)) {
      constexpr int outputs = decltype(size)::value;
      Vector sum[outputs][kStrip] = {};
      accumulate_points<kHeld, outputs>(sum, weights + (size_t)first * inputs, point_step, x, inputs);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int v = 0; v < kStrip; ++v) {
          const int scale = (token + v * kLanes) / kPlane * matrix.outputs + first + n;
          const Vector total = last_sum<kHeld>(sum[n][v], matrix.scale, scale, Vector{});
          store(to + (first + n) * kStripTokens + v * kLanes, total);
        }
      }
    });
    x += (size_t)inputs * kStripTokens;
    to += (size_t)matrix.outputs * kStripTokens;
  }
}

// take(output, token, Vector) receives each vector of each output of A^T (products) A + bias; of integers, the products
// are multiplied by *factor.
template <int kHeld, class Take>
CATCHLIGHT_INLINE void transform_outputs(const Matrix& matrix, float* products, const float* factor, Take take) {
  for (int n = 0; n < matrix.outputs; ++n) {
    for (int block = 0; block < kPlane; block += kLanes) {
      Vector rows[2][kPatch];
      CATCHLIGHT_UNROLL
      for (int b = 0; b < kPatch; ++b) {
        Vector m[kPatch];
        CATCHLIGHT_UNROLL
        for (int a = 0; a < kPatch; ++a) m[a] = load(at_point(products, matrix.outputs, n, a * kPatch + b, block));
        rows[0][b] = m[0] + m[1] + m[2];
        rows[1][b] = m[1] - m[2] - m[3];
      }
      CATCHLIGHT_UNROLL
      for (int y = 0; y < 2; ++y) {
        const Vector* r = rows[y];
        if constexpr (kInteger<kHeld>) {
          take(n, y * 2 * kPlane + block, matrix.bias[n] + (r[0] + r[1] + r[2]) * broadcast(*factor));
          take(n, (y * 2 + 1) * kPlane + block, matrix.bias[n] + (r[1] - r[2] - r[3]) * broadcast(*factor));
        } else {
          take(n, y * 2 * kPlane + block, matrix.bias[n] + r[0] + r[1] + r[2]);
          take(n, (y * 2 + 1) * kPlane + block, matrix.bias[n] + r[1] - r[2] - r[3]);
        }
      }
    }
  }
}

// scratch: kHalo * (inputs + outputs) + kTokens * inputs floats.
template <int kHeld, class Take>
CATCHLIGHT_INLINE void convolve_window(const Matrix& matrix, const float* map, const Grid& grid, int window,
                                       float* scratch, Take take) {
  float *inputs = scratch, *products = inputs + (size_t)matrix.inputs * kHalo;
  float* nothing = products + (size_t)matrix.outputs * kHalo;
  std::memset(nothing, 0, sizeof(float) * matrix.inputs * kTokens);
  const float* around[9];
  neighbours(map, grid, matrix.inputs, window, nothing, around);
  if constexpr (kInteger<kHeld>) {
    transform_inputs<1>(around, matrix.inputs, inputs);
    round_inputs<kHeld>(matrix.inputs, inputs, nothing);
  } else {
    transform_inputs<kHeld>(around, matrix.inputs, inputs);
  }
  multiply_points<kHeld>(matrix, inputs, products);
  transform_outputs<kHeld>(matrix, products, nothing, take);
}

}  // namespace
}  // namespace catchlight
