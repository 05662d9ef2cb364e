// The two functions that a Swin layer needs and no processor has: 2^x and GELU, as polynomials.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// Coefficients, the constant first: as exact as single precision, and as what is rounded to 16 bits.
constexpr float kPower[] = {1.00000007f, 0.693146967f, 0.240221197f, 0.0555071328f, 0.00967554154f, 0.00132764717f};
constexpr float kBumpEnd = 5.f;
constexpr float kBump[] = {
    0.0155252533f, -0.0940200522f, 0.232680614f, -0.257033752f, -0.0175457806f,
    0.419557804f, -0.490063073f, 0.0751871154f, 0.343794634f, -0.247765766f,
    -0.091165375f, 0.12855164f, 0.00677323523f, -0.0244762725f,
};
constexpr float kShortPower[] = {0.999928073f, 0.693260986f, 0.242611133f, 0.0551716688f};
constexpr float kShortBumpEnd = 4.f;
constexpr float kShortBump[] = {
    0.0454337627f, -0.171293801f, 0.218878571f, 0.0115931756f, -0.309493641f,
    0.245022792f, 0.030584124f, -0.0853701198f, 0.0146605261f,
};

// All functions work in place on several vectors, step by step: an operation waits for the one before it in the same
// vector, and the processor has others to do meanwhile.
template <int kTerms, int kCount>
CATCHLIGHT_INLINE void polynomial(const float (&coefficients)[kTerms], const Vector (&x)[kCount],
                                  Vector (&sum)[kCount]) {
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) sum[v] = held(coefficients[kTerms - 1]);
  CATCHLIGHT_UNROLL
  for (int i = kTerms - 2; i >= 0; --i) {
    const Vector c = held(coefficients[i]);
    CATCHLIGHT_UNROLL
    for (int v = 0; v < kCount; ++v) sum[v] = c + x[v] * sum[v];
  }
}

// 2^x to a relative 8e-8, or 8e-5 before it is rounded to 16 bits. Above 127 it is infinite or some number beyond
// 2^126, below -126 some number below 2^-125.
template <int kHeld, int kCount>
CATCHLIGHT_INLINE void exp2(Vector (&x)[kCount]) {
  Vector whole[kCount], p[kCount];
#if defined(__AVX512F__)
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) {
    whole[v] = (Vector)_mm512_roundscale_ps((__m512)x[v], 0);
    x[v] -= whole[v];
  }
#else
  const Vector lowest = held(-126.f), highest = held(127.f);
  const Vector round = held(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer, which then lies in the low bits
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) x[v] = smaller(larger(x[v], lowest), highest);
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) {
    whole[v] = x[v] + round;
    x[v] -= whole[v] - round;  // -0.5 to 0.5
  }
#endif
  if constexpr (kHeld == 2) {
    polynomial(kShortPower, x, p);
  } else {
    polynomial(kPower, x, p);
  }
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) {
#if defined(__AVX512F__)
    x[v] = (Vector)_mm512_scalef_ps((__m512)p[v], (__m512)whole[v]);
#else
    x[v] = (Vector)((Integers)p[v] + ((Integers)whole[v] << 23));
#endif
  }
}

// x * Phi(x) to an absolute 1.5e-6, or 1.3e-4 before it is rounded to 16 bits: max(x, 0) less the bump
// |x| * Phi(-|x|), which is gone beyond its end.
template <int kHeld, int kCount>
CATCHLIGHT_INLINE void gelu(Vector (&x)[kCount]) {
  constexpr float kEnd = kHeld == 2 ? kShortBumpEnd : kBumpEnd;
  Vector t[kCount], bump[kCount];
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) t[v] = smaller(magnitude(x[v]) * (2.f / kEnd) - 1.f, broadcast(1.f));
  if constexpr (kHeld == 2) {
    polynomial(kShortBump, t, bump);
  } else {
    polynomial(kBump, t, bump);
  }
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) x[v] = larger(x[v], Vector{}) - bump[v];
}

}  // namespace
}  // namespace catchlight
