// The two functions that a Swin layer needs and no processor has: 2^x and GELU, as polynomials.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

// 2^x to a relative 8e-8. Above 127 it is infinite or some number beyond 2^126, below -126 some number below 2^-125.
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
  Vector p = 0.00967554154f + f * 0.00132764717f;
  p = 0.0555071328f + f * p;
  p = 0.240221197f + f * p;
  p = 0.693146967f + f * p;
  p = 1.00000007f + f * p;
#if defined(__AVX512F__)
  return (Vector)_mm512_scalef_ps((__m512)p, (__m512)whole);
#else
  return (Vector)((Integers)p + ((Integers)shifted << 23));
#endif
}

// x * Phi(x) to an absolute 1.5e-6: max(x, 0) less the bump |x| * Phi(-|x|), which is gone beyond 5.
CATCHLIGHT_INLINE Vector gelu(Vector x) {
  constexpr float kBump[] = {
      0.0155252533f, -0.0940200522f, 0.232680614f, -0.257033752f, -0.0175457806f,
      0.419557804f, -0.490063073f, 0.0751871154f, 0.343794634f, -0.247765766f,
      -0.091165375f, 0.12855164f, 0.00677323523f, -0.0244762725f,
  };
  constexpr int kDegree = sizeof kBump / sizeof kBump[0] - 1;
  const Vector t = smaller(magnitude(x) * 0.4f - 1.f, broadcast(1.f));  // 0..5 to -1..1
  Vector p = broadcast(kBump[kDegree]);
  CATCHLIGHT_UNROLL
  for (int i = kDegree - 1; i >= 0; --i) p = kBump[i] + t * p;
  return larger(x, Vector{}) - p;
}

}  // namespace
}  // namespace catchlight
