// Times the parts of the native engine's kernels alone, for one window: cycles of CPU time, best of many, beside the
// multiply-adds of whole vectors that they cannot do without. Arguments: channels, heads, unshuffle (1 or 2), and the
// processor's clock in GHz. Without -mavx512bf16: in single precision. With -mavx2 -mfma alone: AVX2, in single
// precision or with integers for factors (-DHELD=2).
//
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -w -mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl
//       -mavx512bf16 -mprefer-vector-width=512 -Iengines/native benchmarks/native_parts.cpp -o native_parts &&
//       ./native_parts 48 4 2 3.7
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "convolution.h"
#include "layer.h"
#include "memory.h"
#include "pixels.h"

#ifndef HELD
#define HELD kPack
#endif

using namespace catchlight;

namespace {

double ghz = 0;
std::vector<Floats> storage;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

float* random_floats(size_t count, float scale = 1.f) {
  storage.emplace_back(count);
  float* data = storage.back().data();
  for (size_t i = 0; i < count; ++i) data[i] = scale * (std::rand() % 2001 / 1000.f - 1.f);
  return data;
}

Matrix random_matrix(int inputs, int outputs, int points = 1, int pack = kPack) {
  const size_t count = static_cast<size_t>(inputs) * outputs * points;
  float* weights = random_floats(count, 1.f / std::sqrt(static_cast<float>(inputs)));
  for (size_t i = 0; pack == 2 && i < count; ++i) {  // the upper half of a float is a bfloat16: the same one twice
    uint32_t bits;
    std::memcpy(&bits, weights + i, sizeof bits);
    bits = (bits & 0xffff0000) | bits >> 16;
    std::memcpy(weights + i, &bits, sizeof bits);
  }
  return {weights, random_floats(outputs), inputs, outputs, pack, random_floats(outputs * points, 1e-9f)};
}

template <class F>
void time_part(const char* name, double multiply_adds, F f) {
  double best = 1e9;
  for (int round = 0; round < 60; ++round) {
    const double start = seconds();
    for (int i = 0; i < 8; ++i) f();
    best = std::min(best, (seconds() - start) / 8);
  }
  const double cycles = best * ghz * 1e9;
  std::printf("%-20s %8.0f cycles, %8.0f multiply-adds, %5.1f %%\n", name, cycles, multiply_adds,
              100 * multiply_adds / cycles);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: %s CHANNELS HEADS UNSHUFFLE GHZ\n", arguments[0]);
    return 2;
  }
  const int c = std::atoi(arguments[1]), heads = std::atoi(arguments[2]), fold = std::atoi(arguments[3]);
  ghz = std::atof(arguments[4]);
  const double linear = 64.0 / kLanes * c * c;
  const Grid grid = {1, 6 / fold, 8 / fold};
  const size_t map = static_cast<size_t>(c) * kTokens * grid.rows * grid.columns;
  const int window = grid.columns + 1;  // one with neighbours on every side, unless there are none
  float *from = random_floats(map), *to = random_floats(map), *scratch = random_floats(1 << 20);
  float *tile = random_floats(c * kTokens), *wide = random_floats(3 * c * kTokens), *result = random_floats(c * kTokens);

  float* bits = random_floats(heads);
  std::fill(bits, bits + heads, 9.f);
  const Layer layer = {random_matrix(c, 3 * c, 1, HELD), random_matrix(c, c, 1, HELD),
                       random_matrix(c, 2 * c, 1, HELD), random_matrix(2 * c, c, 1, HELD),
                       random_floats(heads * kPosition), random_floats(heads, 1e-9f),
                       bits, random_floats(c * kGeluConstants), c, heads, true};
  const auto keep_normalized = [&](int n, int token, const Vector(&values)[HELD]) {
    store(tile + n / HELD * kTokens + token, factors_of(values));
  };
  time_part("layer", 8 * linear + 512 * c, [&] { run_layer<HELD>({&layer, grid, from, false, to}, window, scratch); });
  time_part("  realign", 0, [&] { realign_tile(from, grid, c, window, true, tile); });
  time_part("  LayerNorm (of 2)", 0, [&] { normalize<HELD>(from, c, 1.f, keep_normalized); });
#if defined(CATCHLIGHT_AVX2_ONLY) && HELD == 2
  time_part("  qkv", 3 * linear, [&] { project_in_integers(layer, tile, wide); });
  time_part("  attention", 256 * c, [&] { attend_in_integers(wide, layer, {}, scratch, result); });
  const int32_t mask[4][kPlane] = {};
  const IntegerHead<false> strip = {wide, wide, wide, c / heads, 9, layer.position, mask, 0};
  __m256i highest[kStrip] = {}, total[kStrip];
  time_part("    logits", 0, [&] {
    for (int i = 0; i < heads * kTokens / kStripTokens; ++i) strip.find_logits(scratch, highest);
  });
  time_part("    weights", 0, [&] {
    for (int i = 0; i < heads * kTokens / kStripTokens; ++i) strip.weigh(highest, scratch, total);
  });
  std::memcpy(result, total, sizeof total);
  time_part("  the same in floats", 512 * c, [&] { attend<HELD>(wide, layer, {}, scratch, result); });
#else
  time_part("  qkv", 3 * linear, [&] { project<HELD>(layer.qkv, tile, c, wide); });
  time_part("  attention", 512 * c, [&] { attend<HELD>(wide, layer, {}, scratch, result); });
#endif
  time_part("  fc1", 2 * linear, [&] { expand<HELD>(layer.fc1, tile, wide); });
  time_part("  GELU", 0, [&] { activate<HELD>(wide, 2 * c, layer.gelu); });

  const Convolution convolution = {random_matrix(c, c, kPoints, HELD), grid, from, to, to, {}, nullptr};
  constexpr int kFloats = kInteger<HELD> ? 1 : HELD;  // integers are made afterwards
  const float* around[9];
  neighbours(from, grid, c, window, from, around);
  time_part("convolution", 9 * linear, [&] { convolve(convolution, window, scratch); });
  time_part("  inputs", 0, [&] { transform_inputs<kFloats>(around, c, scratch); });
  if (kInteger<HELD>) time_part("  rounding", 0, [&] { round_inputs<HELD>(c, scratch, result); });
  time_part("  products", 4 * linear, [&] {
    multiply_points<HELD>(convolution.matrix, scratch, scratch + c * kHalo);
  });
  time_part("  outputs", 0, [&] {
    const auto keep_output = [&](int n, int token, Vector v) { store(tile + n * kTokens + token, v); };
    transform_outputs<HELD>(convolution.matrix, scratch, result, keep_output);
  });

  std::vector<uint8_t> pixels(48 * 64 * 9, 100), output(96 * 128 * 3);
  const Matrix up = random_matrix(c, 12 * fold * fold, kPoints, kInteger<HELD> ? HELD : 1);
  float* planes = random_floats(map * 36);
  time_part("read, three frames", 0, [&] { read({pixels.data(), 48, 64, 9, fold, grid, planes}, window); });
  time_part("write, x2", 9 * linear * 12 * fold * fold / c, [&] {
    write({up, grid, from, pixels.data(), 48, 64, 9, fold, 2, output.data(), nullptr}, window, scratch);
  });
}
