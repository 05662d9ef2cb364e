// The processor's limit: multiply-adds in registers and nothing else, for benchmarks to compare with.
#pragma once

#include "vector.h"

namespace catchlight {
namespace {

constexpr int kPeakSums = 12;  // independent, more than a multiply-add's latency needs

// Returns the floating-point operations done; `result` keeps the compiler from dropping them.
double peak(int64_t rounds, float* result) {
  Vector sums[kPeakSums];
  const Vector factor = broadcast(0.5f), term = broadcast(*result);
  for (int i = 0; i < kPeakSums; ++i) sums[i] = broadcast((float)i);
  for (int64_t round = 0; round < rounds; ++round) {
    CATCHLIGHT_UNROLL
    for (int i = 0; i < kPeakSums; ++i) sums[i] = sums[i] * factor + term;
  }
  for (int i = 1; i < kPeakSums; ++i) sums[0] += sums[i];
  *result = sums[0][0];
  return 2.0 * kLanes * kPeakSums * (double)rounds;
}

}  // namespace
}  // namespace catchlight
