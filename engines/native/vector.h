// The vector of the instruction set that this unit is compiled for, and the few operations that have no operator.
//
// Everything in the kernel headers lies in an unnamed namespace: a function shared between units that were compiled
// for different instruction sets could be merged by the linker, and an old processor would then meet a new instruction.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels.h"

// AVX2 and nothing wider: 16 registers of 8 lanes, and products of 16-bit integers.
#if defined(__AVX2__) && !defined(__AVX512F__)
#define CATCHLIGHT_AVX2_ONLY
#endif

#define CATCHLIGHT_INLINE inline __attribute__((always_inline))
#define CATCHLIGHT_UNROLL _Pragma("GCC unroll 16")

namespace catchlight {
namespace {

// Numbers that one lane of a product's factors holds, kHeld below: one float, or two neighbours of 16 bits each. In
// bfloat16 their products are summed in single precision (AVX-512 BF16: twice as many multiplications in the same
// time), as integers exactly (AVX2: 1.5 times as many; weights.cpp makes sure that no sum overflows).
#if defined(__AVX512BF16__)
constexpr int kPack = 2;
#else
constexpr int kPack = 1;
#endif

template <int kHeld>
#if defined(CATCHLIGHT_AVX2_ONLY)
constexpr bool kInteger = kHeld == 2;
#else
constexpr bool kInteger = false;
#endif
constexpr int kMostHeld = kInteger<2> ? 2 : kPack;

// kStrip vectors of tokens times kBlock outputs, kStrip inputs and one weight must fit into the registers.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kStrip = 4;  // 32 registers
#elif defined(__AVX2__)
constexpr int kLanes = 8, kStrip = 2;  // 16 registers
#elif defined(__aarch64__)
constexpr int kLanes = 4, kStrip = 4;  // 32 registers
#else
constexpr int kLanes = 4, kStrip = 2;  // 16 registers
#endif
constexpr int kStripTokens = kLanes * kStrip;

// Vectors whose exponential or GELU is computed step by step together (functions.h).
#if defined(CATCHLIGHT_AVX2_ONLY)
constexpr int kAbreast = 4;
#else
constexpr int kAbreast = 1;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(float))));
typedef float Quad __attribute__((vector_size(4 * sizeof(float))));  // a row of four blocks

template <class T>
CATCHLIGHT_INLINE T load_as(const float* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
CATCHLIGHT_INLINE Vector load(const float* from) { return load_as<Vector>(from); }
template <class T>
CATCHLIGHT_INLINE void store(float* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// Subtracting 0 changes no value, so that nothing is left of it but the broadcast; adding 0 would change -0.
CATCHLIGHT_INLINE Vector broadcast(float value) { return value - Vector{}; }

// The same for a constant that several instructions in a row need: in a register, for two loads a cycle are few where
// every multiply-add takes its constant from memory.
CATCHLIGHT_INLINE Vector held(float value) {
  Vector all = broadcast(value);
#if defined(CATCHLIGHT_AVX2_ONLY)
  asm volatile("" : "+x"(all));
#endif
  return all;
}

// A lane of factors in every lane; its bits may be two numbers, which no arithmetic may touch.
template <int kHeld>
CATCHLIGHT_INLINE Vector broadcast_factors(const float* from) {
#if defined(__AVX512BF16__)
  if constexpr (kHeld == 2) return (Vector)_mm512_set1_epi32((int32_t)load_as<uint32_t>(from));
#elif defined(CATCHLIGHT_AVX2_ONLY)
  if constexpr (kInteger<kHeld>) return (Vector)_mm256_set1_epi32(load_as<int32_t>(from));
#endif
  return broadcast(*from);
}

// Values of neighbouring channels as factors; integers round them and must have 16 bits.
CATCHLIGHT_INLINE Vector factors_of(const Vector (&values)[1]) { return values[0]; }
#if defined(__AVX512BF16__)
CATCHLIGHT_INLINE Vector factors_of(const Vector (&values)[2]) {
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)values[1], (__m512)values[0]);
  alignas(64) static constexpr int16_t kInterleaved[2 * kLanes] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
  };
  return (Vector)_mm512_permutexvar_epi16(_mm512_load_si512(kInterleaved), halves);
}
#elif defined(CATCHLIGHT_AVX2_ONLY)
CATCHLIGHT_INLINE Vector factors_of(const Vector (&values)[2]) {
  const __m256i low = _mm256_cvtps_epi32((__m256)values[0]), high = _mm256_cvtps_epi32((__m256)values[1]);
  return (Vector)_mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}

// The upper halves of two sums of integers as factors.
CATCHLIGHT_INLINE Vector upper_halves(Vector low, Vector high) {
  return (Vector)_mm256_blend_epi16(_mm256_srli_epi32((__m256i)low, 16), (__m256i)high, 0xaa);
}
#endif

// Stores a strip of tokens of one channel so that kHeld neighbouring tokens make a lane of factors.
template <int kHeld>
CATCHLIGHT_INLINE void store_tokens(float* to, const Vector (&strip)[kStrip]) {
  CATCHLIGHT_UNROLL
  for (int v = 0; v < kStrip; v += kHeld) {
#if defined(__AVX512BF16__)
    store(to + v / kHeld * kLanes, _mm512_cvtne2ps_pbh((__m512)strip[v + 1], (__m512)strip[v]));
#else
    store(to + v * kLanes, strip[v]);
#endif
  }
}

// sum + a * b, summed over the numbers of each lane; a sum of integers is one itself.
template <int kHeld>
CATCHLIGHT_INLINE Vector multiply_add(Vector sum, Vector a, Vector b) {
#if defined(__AVX512BF16__)
  if constexpr (kHeld == 2) return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#elif defined(CATCHLIGHT_AVX2_ONLY)
  if constexpr (kInteger<kHeld>) {
#if defined(CATCHLIGHT_AVXVNNI)
    // Assemblers take AVX-512's encoding of it unless asked for this one.
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#else
    // GCC 12 would compute all products of a tile first, and sums would not stay in their registers.
    Vector products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=x"(products) : "x"(a), "x"(b));
#endif
    return sum;
  }
#endif
  return sum + a * b;
}

// A sum of products as floats: where they are integers, its lanes times scales[scale], plus `start`, with which all
// others begin.
template <int kHeld>
CATCHLIGHT_INLINE Vector first_sum(Vector start) {
  return kInteger<kHeld> ? Vector{} : start;
}
template <int kHeld>
CATCHLIGHT_INLINE Vector last_sum(Vector sum, [[maybe_unused]] const float* scales, [[maybe_unused]] int scale,
                                  [[maybe_unused]] Vector start) {
#if defined(CATCHLIGHT_AVX2_ONLY)
  if constexpr (kInteger<kHeld>) return (Vector)_mm256_cvtepi32_ps((__m256i)sum) * broadcast(scales[scale]) + start;
#endif
  return sum;
}

// The same for lanes of kHeld numbers and one lane of b for all, from memory, where it is used only once.
template <int kHeld>
CATCHLIGHT_INLINE Vector multiply_add_once(Vector sum, Vector a, const float* b) {
#if defined(__AVX512BF16__)
  if constexpr (kHeld == 2) {
    // GCC 12 would broadcast into a register first, which takes 1.3 times as long.
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*b));
    return sum;
  }
#endif
  return sum + a * broadcast(*b);
}

// Lanes of a, then of b, picked by number.
template <int... kPicked, class T>
CATCHLIGHT_INLINE T shuffle(T a, T b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, kPicked...);
#else
  typedef int32_t Picked __attribute__((vector_size(sizeof(T))));
  return __builtin_shuffle(a, b, Picked{kPicked...});
#endif
}

CATCHLIGHT_INLINE Vector larger(Vector a, Vector b) {
#if defined(__AVX512F__)
  return (Vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vector)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

CATCHLIGHT_INLINE Vector smaller(Vector a, Vector b) {
#if defined(__AVX512F__)
  return (Vector)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vector)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

CATCHLIGHT_INLINE Vector magnitude(Vector a) { return (Vector)((Integers)a & 0x7fffffff); }

// Whether every lane of every vector lies between them; false where one is not a number.
CATCHLIGHT_INLINE bool all_between(const Vector (&values)[kStrip], float low, float high) {
  Integers inside = ~Integers{};
  for (const Vector& value : values) inside &= (value > low) & (value < high);
  int32_t all = -1;
  for (int i = 0; i < kLanes; ++i) all &= inside[i];
  return all != 0;
}

CATCHLIGHT_INLINE Vector square_root(Vector a) {
#if defined(__AVX512F__)
  return (Vector)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
  return (Vector)_mm256_sqrt_ps((__m256)a);
#else
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}

}  // namespace
}  // namespace catchlight
