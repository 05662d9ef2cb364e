// The two functions that a Swin layer needs and no processor has: 2^x and GELU, as polynomials.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// Coefficients, the constant first: as exact as what is made of the result.
#if defined(__AVX512BF16__)
constexpr float kPower[] = {0.999928073f, 0.693260986f, 0.242611133f, 0.0551716688f};
constexpr float kBumpEnd = 4.f;
constexpr float kBump[] = {
    0.0454337627f, -0.171293801f, 0.218878571f, 0.0115931756f, -0.309493641f,
    0.245022792f, 0.030584124f, -0.0853701198f, 0.0146605261f,
};
#else
constexpr float kPower[] = {1.00000007f, 0.693146967f, 0.240221197f, 0.0555071328f, 0.00967554154f, 0.00132764717f};
constexpr float kBumpEnd = 5.f;
constexpr float kBump[] = {
    0.0155252533f, -0.0940200522f, 0.232680614f, -0.257033752f, -0.0175457806f,
    0.419557804f, -0.490063073f, 0.0751871154f, 0.343794634f, -0.247765766f,
    -0.091165375f, 0.12855164f, 0.00677323523f, -0.0244762725f,
};
#endif
// For what integers are made of.
constexpr float kShortPower[] = {0.999999261f, 0.693121815f, 0.240247448f, 0.0559178616f, 0.00957010195f};
constexpr float kShortBumpEnd = 4.5f;
constexpr float kShortBump[] = {
    0.027497134f, -0.133039506f, 0.246592398f, -0.14721581f, -0.202968311f,
    0.434781386f, -0.204907129f, -0.176315031f, 0.176380274f, 0.0217824952f, -0.0425867217f,
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

// 2^x to a relative 8e-8, 3e-6 among integers, or 8e-5 before it is rounded to bfloat16. Above 127 it is infinite or
// some number beyond 2^126, below -126 some number below 2^-125.
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
  if constexpr (kInteger<kHeld>) {
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

// x * Phi(x) to an absolute 1.5e-6, 1.6e-5 before it is rounded to an integer, or 1.3e-4 to bfloat16: max(x, 0) less
// the bump |x| * Phi(-|x|), which is gone beyond its end.
template <int kHeld, int kCount>
CATCHLIGHT_INLINE void gelu(Vector (&x)[kCount]) {
  constexpr float kEnd = kInteger<kHeld> ? kShortBumpEnd : kBumpEnd;
  Vector t[kCount], bump[kCount];
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) t[v] = smaller(magnitude(x[v]) * (2.f / kEnd) - 1.f, broadcast(1.f));
  if constexpr (kInteger<kHeld>) {
    polynomial(kShortBump, t, bump);
  } else {
    polynomial(kBump, t, bump);
  }
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kCount; ++v) x[v] = larger(x[v], Vector{}) - bump[v];
}

}  // namespace
}  // namespace catchlight
