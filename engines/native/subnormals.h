// Numbers below 2^-126.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace catchlight {

// While it lives, they are zero in this thread. Intel's processors take some 150 cycles for a product with one, and
// softmax makes one for every key that a mask keeps apart. ARM's take no longer for them.
class SubnormalsAreZero {
#if defined(__x86_64__)
 public:
  SubnormalsAreZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero); }
  ~SubnormalsAreZero() { _mm_setcsr(before_); }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;
  SubnormalsAreZero& operator=(const SubnormalsAreZero&) = delete;

 private:
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned before_;
#endif
};

}  // namespace catchlight
