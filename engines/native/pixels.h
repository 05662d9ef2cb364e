// Pixels in and pixels out: uint8 frames to a map, and a map to uint8 over bicubic interpolation.
#pragma once

#include "winograd.h"

namespace catchlight {
namespace {

CATCHLIGHT_INLINE int clamp(int i, int last) { return i < 0 ? 0 : i > last ? last : i; }
CATCHLIGHT_INLINE int token_of(int y, int x) { return (y % 2 * 2 + x % 2) * kPlane + y / 2 * 4 + x / 2; }

constexpr float kByte = 1.f / 255.f;

// Pixels beyond the frame repeat its edge. Division by `fold`, 1 or 2, is a shift by `odd`.
void read(const Reading& call, int window) {
  const Place at = place_of(call.grid, window);
  const int fold = call.unshuffle, odd = fold - 1, side = kWindow * fold, planes = call.channels * fold * fold;
  const size_t row_bytes = (size_t)call.width * call.channels;
  const uint8_t* image = call.pixels + at.image * row_bytes * call.height;
  float* tile = call.map + (size_t)window * planes * kTokens;
  for (int y = 0; y < side; ++y) {
    const uint8_t* row = image + clamp(at.row * side + y, call.height - 1) * row_bytes;
    for (int x = 0; x < side; ++x) {
      const uint8_t* pixel = row + (size_t)clamp(at.column * side + x, call.width - 1) * call.channels;
      float* to = tile + ((y & odd) * fold + (x & odd)) * kTokens + token_of(y >> odd, x >> odd);
      for (int c = 0; c < call.channels; ++c) to[c * fold * fold * kTokens] = (float)pixel[c] * kByte;
    }
  }
}

constexpr int kMaxScale = 8, kMaxFold = 2, kReach = 2;       // pixels that bicubic sees beyond a window
constexpr int kSide = kWindow * kMaxFold + 2 * kReach;       // of the low-resolution patch
constexpr int kCubicTaps = 2 * kReach + 1;

// Weights of the pixels -2..2 around one, for each output pixel inside it (a = -0.75, half-pixel centres).
CATCHLIGHT_INLINE void cubic_weights(int scale, float (&weights)[kMaxScale][kCubicTaps]) {
  for (int phase = 0; phase < scale; ++phase) {
    const float centre = ((float)phase + 0.5f) / (float)scale - 0.5f;
    for (int i = 0; i < kCubicTaps; ++i) {
      const float d = __builtin_fabsf(centre - (float)(i - kReach));
      weights[phase][i] = d <= 1.f  ? (1.25f * d - 2.25f) * d * d + 1.f
                          : d < 2.f ? ((-0.75f * d + 3.75f) * d - 6.f) * d + 3.f
                                    : 0.f;
    }
  }
}

// The newest frame around a window, in [0, 1], [side + 4][side + 4][3]; pixels beyond the frame repeat its edge.
CATCHLIGHT_INLINE void cut_patch(const Writing& call, Place at, int side, float* patch) {
  const size_t row_bytes = (size_t)call.width * call.channels;
  const uint8_t* image = call.pixels + at.image * row_bytes * call.height;
  for (int y = 0; y < side + 2 * kReach; ++y) {
    const uint8_t* row = image + clamp(at.row * side + y - kReach, call.height - 1) * row_bytes;
    for (int x = 0; x < side + 2 * kReach; ++x, patch += 3) {
      const uint8_t* pixel = row + (size_t)clamp(at.column * side + x - kReach, call.width - 1) * call.channels;
      for (int c = 0; c < 3; ++c) patch[c] = (float)pixel[c] * kByte;
    }
  }
}

// floor(255 * value + 0.5) of a value clamped to [0, 1].
CATCHLIGHT_INLINE uint8_t to_byte(float value) {
  value = value > 0.f ? value : 0.f;
  value = value < 1.f ? value : 1.f;
  return (uint8_t)(int)(value * 255.f + 0.5f);
}

void write(const Writing& call, int window, float* scratch) {
  const Place at = place_of(call.grid, window);
  const int scale = call.scale, fold = call.unshuffle, odd = fold - 1, shuffle = scale * fold, side = kWindow * fold;
  float* residual = scratch;
  const auto keep = [&](int n, int token, Vector value) __attribute__((always_inline)) {
    store(residual + n * kTokens + token, value);
  };
  float* rest = residual + (size_t)call.matrix.outputs * kTokens;
  if (kInteger<2> && call.matrix.pack == 2) {
    convolve_window<kMostHeld>(call.matrix, call.from, call.grid, window, rest, keep);
  } else {
    convolve_window<1>(call.matrix, call.from, call.grid, window, rest, keep);
  }

  float weights[kMaxScale][kCubicTaps];
  constexpr int kRow = kWindow * kMaxFold * 3;
  float patch[kSide * kSide * 3], blended[kSide * 3], row[kRow], line[kRow * kMaxScale];
  cubic_weights(scale, weights);
  cut_patch(call, at, side, patch);
  const int stride = (side + 2 * kReach) * 3;
  const int height = call.height - at.row * side < side ? call.height - at.row * side : side;
  const int width = call.width - at.column * side < side ? call.width - at.column * side : side;
  for (int y = 0; y < height * scale; ++y) {
    const int from = y / scale, inside = y % scale;
    for (int i = 0; i < stride; ++i) {
      float sum = 0;
      for (int k = 0; k < kCubicTaps; ++k) sum += weights[inside][k] * patch[(from + k) * stride + i];
      blended[i] = sum;
    }
    const size_t output_row = ((size_t)at.image * call.height + at.row * side) * scale + y;
    const size_t start = (output_row * call.width + at.column * side) * scale * 3;
    for (int phase = 0; phase < scale; ++phase) {
      for (int i = 0; i < width * 3; ++i) {
        float sum = 0;
        for (int k = 0; k < kCubicTaps; ++k) sum += weights[phase][k] * blended[i + k * 3];
        row[i] = sum;
      }
      for (int x = 0; x < width; ++x) {
        const int within = ((from & odd) * scale + inside) * shuffle + (x & odd) * scale + phase;
        const float* added = residual + within * kTokens + token_of(from >> odd, x >> odd);
        float* to = line + (x * scale + phase) * 3;
        for (int c = 0; c < 3; ++c) to[c] = row[x * 3 + c] + added[c * shuffle * shuffle * kTokens];
      }
    }
    const int length = width * scale * 3;
    uint8_t* const output = call.output + start;  // a copy, since a byte that is stored might be a part of `call`
    for (int i = 0; i < length; ++i) output[i] = to_byte(line[i]);
    if (call.exact) std::memcpy(call.exact + start, line, sizeof(float) * length);
  }
}

}  // namespace
}  // namespace catchlight
