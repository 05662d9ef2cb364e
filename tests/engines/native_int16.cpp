// Functions and attention in 16-bit integers against the same in double precision; built and run by
// test_native_library.py, with AVX2.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../../engines/native/attention_int16.h"
#include "native_check.h"

using namespace catchlight;

namespace {

// A lane of factors.
float pair(int low, int high) {
  const uint32_t bits = (uint32_t)(uint16_t)high << 16 | (uint16_t)low;
  float lane;
  std::memcpy(&lane, &bits, sizeof lane);
  return lane;
}

int16_t half_of(const float* factors, int i) {
  int16_t halves[2];
  std::memcpy(halves, factors, sizeof halves);
  return halves[i];
}

void every_power() {
  for (int bits = kFewestFractionBits; bits <= kMostFractionBits; ++bits) {
    const Power16 power(bits);
    for (int x = -32768; x <= 0; ++x) {
      __m256i values[1] = {_mm256_set1_epi16((int16_t)x)};
      power(values);
      const double exact = kLargestWeight * std::exp2(x / std::exp2(bits));
      CHECK(std::abs((int16_t)_mm256_extract_epi16(values[0], 5) - exact) <= 0.8 + 2e-4 * exact);
      CHECK((int16_t)_mm256_extract_epi16(values[0], 10) <= kLargestWeight);
    }
  }
}

void every_gelu() {
  for (int bits = 1; bits <= 14; ++bits) {
    const int scale = 1 << bits, end = std::min(4 * scale - 1, 32767);
    const float constants[] = {pair(0, end), pair(0, 16384 / scale), pair(0, scale / 2)};
    const Gelu16 gelu(constants);
    for (int x = -32767; x <= 32767; ++x) {
      __m256i values[1] = {_mm256_set1_epi16((int16_t)x)};
      gelu(values);
      const double exact = 0.5 * x * std::erfc(-x / std::sqrt(2.0) / scale);
      CHECK(std::abs((int16_t)_mm256_extract_epi16(values[0], 7) - exact) <= 1 + 2e-4 * scale);
    }
  }
}

// For so many bits behind the point, in a window that is cut so.
void attention(int bits, Cut cut) {
  constexpr int kSize = 8, kSide = 2 * kWindow - 1;
  std::mt19937 random(bits + 8 * cut.rows + 16 * cut.columns);
  const auto number = [&](int most) { return (int)(random() % (2 * most + 1)) - most; };
  std::vector<int> table(kSide * kSide);
  for (int& bias : table) bias = number(3000);
  constexpr int kFactors = kSize * kTokens / 2;
  std::vector<float> position(kPosition), qkv(3 * kFactors), weights(kTokens * kTokens), to(kFactors);
  for (int i = 0; i < kPosition; ++i) {
    const int row = i % kPlane / 4 * 2 + i / kPlane / kOffsets, column = i % 4 * 2 + i / kPlane % kOffsets;
    position[i] = pair(table[row * kSide + column], column < 2 ? 0 : table[row * kSide + column - 2]);
  }
  // The keys' first two even channels are large and positive, the others large: one query in seven has very low logits
  // only, and one has logits that are further apart than 16 bits can hold.
  for (int n = 0; n < kSize; n += 2) {
    for (int token = 0; token < kTokens; ++token) {
      const int kind = token % 7;
      const int query = kind == 0 ? (n < 4 ? -32000 : 0) : kind == 1 ? (n < 4 ? 0 : 28000) : number(8000);
      qkv[n / 2 * kTokens + token] = pair(query, number(4000));
      qkv[(kSize + n) / 2 * kTokens + token] = pair(n < 4 ? 25000 + number(3000) : number(30000), number(4000));
    }
  }
  float* v = &qkv[2 * kFactors];
  for (int i = 0; i < kFactors; ++i) v[i] = pair(number(kLargestValue), number(kLargestValue));
  const float fraction_bits = (float)bits;
  Layer layer = {};
  layer.position = position.data();
  layer.fraction_bits = &fraction_bits;
  layer.channels = kSize;
  layer.heads = 1;

  attend_in_integers(qkv.data(), layer, cut, weights.data(), to.data());

  for (int query = 0; query < kTokens; ++query) {
    double logits[kTokens], highest = -1e9;
    for (int key = 0; key < kTokens; ++key) {
      const int row = row_of(query) - row_of(key), column = column_of(query) - column_of(key);
      const bool apart = (cut.rows && row_of(query) / 4 != row_of(key) / 4) ||
                         (cut.columns && column_of(query) / 4 != column_of(key) / 4);
      double sum = 0;
      for (int n = 0; n < kSize; ++n) {
        sum += (double)half_of(&qkv[n / 2 * kTokens + query], n % 2) *
               half_of(&qkv[(kSize + n) / 2 * kTokens + key], n % 2);
      }
      CHECK(std::abs(sum) < 0x7fffffff);
      logits[key] = sum / 65536 + table[(row + kWindow - 1) * kSide + column + kWindow - 1];
      CHECK(std::abs(logits[key]) < 32767);
      if (apart) logits[key] = -1e9;
      highest = std::max(highest, logits[key]);
    }
    for (int n = 0; n < kSize; ++n) {
      double total = 0, sum = 0;
      for (int key = 0; key < kTokens; ++key) {
        const double weight = std::exp2((logits[key] - highest) / std::exp2(bits));
        total += weight;
        sum += weight * half_of(v + n * kTokens / 2 + key / 2, key % 2);
      }
      const double exact = sum / total / kLargestValue * kLargestFactor;
      CHECK(std::abs(half_of(&to[n / 2 * kTokens + query], n % 2) - exact) < 0.004 * kLargestFactor);
    }
  }
}

}  // namespace

int main() {
  every_power();
  every_gelu();
  for (int bits = kFewestFractionBits; bits <= kMostFractionBits; ++bits) {
    for (int cut = 0; cut < 4; ++cut) attention(bits, {cut % 2 != 0, cut / 2 != 0});
  }
  std::puts("16-bit integers: no fault found");
}
