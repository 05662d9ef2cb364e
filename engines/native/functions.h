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

template <int kCount>
CATCHLIGHT_INLINE Vector polynomial(const float (&coefficients)[kCount], Vector x) {
  Vector sum = broadcast(coefficients[kCount - 1]);
  CATCHLIGHT_UNROLL
  for (int i = kCount - 2; i >= 0; --i) sum = coefficients[i] + x * sum;
  return sum;
}

// 2^x to a relative 8e-8, or 8e-5 before it is rounded to bfloat16. Above 127 it is infinite or some number beyond
// 2^126, below -126 some number below 2^-125.
CATCHLIGHT_INLINE Vector exp2(Vector x) {
#if defined(__AVX512F__)
  const Vector whole = (Vector)_mm512_roundscale_ps((__m512)x, 0);
  const Vector f = x - whole;
#else
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer, which then lies in the low bits
  x = smaller(larger(x, broadcast(-126.f)), broadcast(127.f));
  const Vector shifted = x + kRound;
  const Vector f = x - (shifted - kRound);  // -0.5 to 0.5
#endif
  const Vector p = polynomial(kPower, f);
#if defined(__AVX512F__)
  return (Vector)_mm512_scalef_ps((__m512)p, (__m512)whole);
#else
  return (Vector)((Integers)p + ((Integers)shifted << 23));
#endif
}

// x * Phi(x) to an absolute 1.5e-6, or 1.3e-4 before it is rounded to bfloat16: max(x, 0) less the
// bump |x| * Phi(-|x|), which is gone beyond kBumpEnd.
CATCHLIGHT_INLINE Vector gelu(Vector x) {
  const Vector t = smaller(magnitude(x) * (2.f / kBumpEnd) - 1.f, broadcast(1.f));
  return larger(x, Vector{}) - polynomial(kBump, t);
}

}  // namespace
}  // namespace catchlight
