// The functions of functions.h in 16-bit integers, 16 at a time, for AVX2 alone. A product is a * b / 2^15, rounded.
#pragma once

#include "functions.h"

#if defined(CATCHLIGHT_AVX2_ONLY)

namespace catchlight {
namespace {

CATCHLIGHT_INLINE __m256i load_integers(const float* from) { return load_as<__m256i>(from); }
CATCHLIGHT_INLINE __m256i every16(float value) {
  return _mm256_set1_epi16((int16_t)(value + (value < 0 ? -0.5f : 0.5f)));
}

// Every step's coefficient and sum are `scale` times those of the polynomial, for x times 2^15.
template <int kTerms, int kCount>
CATCHLIGHT_INLINE void polynomial16(const float (&coefficients)[kTerms], float scale, const __m256i (&x)[kCount],
                                    __m256i (&sum)[kCount]) {
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) sum[v] = every16(scale * coefficients[kTerms - 1]);
  CATCHLIGHT_UNROLL
  for (int i = kTerms - 2; i >= 0; --i) {
    const __m256i c = every16(scale * coefficients[i]);
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) sum[v] = _mm256_add_epi16(_mm256_mulhrs_epi16(x[v], sum[v]), c);
  }
}

// 2^x times kLargestWeight for x <= 0 with so many bits behind the point, to a relative 2e-4 and a unit.
class Power16 {
  static_assert(-32768 >> kMostFractionBits < -14 && -32768 >> kFewestFractionBits >= -128);

 public:
  CATCHLIGHT_INLINE explicit Power16(int fraction_bits)
      : to_whole_(_mm256_set1_epi16((int16_t)(1 << (15 - fraction_bits)))),
        to_fraction_(_mm_cvtsi32_si128(16 - fraction_bits)) {}

  template <int kCount>
  CATCHLIGHT_INLINE void operator()(__m256i (&x)[kCount]) const {
    // A power of two is one bit, in one of two bytes; looked up for each, and 0 where the index is negative.
    const __m256i low_twice =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14));
    const __m256i bit =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i of_one = _mm256_set1_epi16(14 | (14 - 8) << 8);
    __m256i whole[kCount], p[kCount];
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) {
      const __m256i rounded = _mm256_shuffle_epi8(_mm256_mulhrs_epi16(x[v], to_whole_), low_twice);
      whole[v] = _mm256_shuffle_epi8(bit, _mm256_add_epi8(rounded, of_one));
      x[v] = _mm256_sll_epi16(x[v], to_fraction_);  // -0.5 to 0.5, times 2^16
    }
    // Of twice x: the powers of 1/2 are in the coefficients.
    constexpr float kHalves[] = {1.f, kShortPower[1] / kShortPower[0] / 2, kShortPower[2] / kShortPower[0] / 4,
                                 kShortPower[3] / kShortPower[0] / 8};
    polynomial16(kHalves, 2 * kLargestWeight, x, p);
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) x[v] = _mm256_mulhrs_epi16(p[v], whole[v]);
  }

 private:
  __m256i to_whole_;
  __m128i to_fraction_;
};

// GELU of pairs of channels, to an absolute 2e-4 and a unit.
class Gelu16 {
 public:
  // constants: as Layer has them, for a pair.
  CATCHLIGHT_INLINE explicit Gelu16(const float* constants)
      : end_((__m256i)broadcast_factors<2>(constants)),
        to_end_((__m256i)broadcast_factors<2>(constants + 1)),
        scale_((__m256i)broadcast_factors<2>(constants + 2)) {}

  template <int kCount>
  CATCHLIGHT_INLINE void operator()(__m256i (&x)[kCount]) const {
    __m256i t[kCount], bump[kCount];
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) {
      t[v] = _mm256_mullo_epi16(_mm256_min_epi16(_mm256_abs_epi16(x[v]), end_), to_end_);
      t[v] = _mm256_xor_si256(t[v], every16(-32768));  // -1 to 1
    }
    polynomial16(kShortBump, 65536.f, t, bump);
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) {
      x[v] = _mm256_max_epi16(x[v], _mm256_setzero_si256());
      x[v] = _mm256_sub_epi16(x[v], _mm256_mulhrs_epi16(bump[v], scale_));
    }
  }

 private:
  __m256i end_, to_end_, scale_;
};

}  // namespace
}  // namespace catchlight

#endif
