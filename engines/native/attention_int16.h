// Attention of attention.h with softmax and its product with v in 16-bit integers, for AVX2 alone.
//
// From the logits on a lane holds two neighbouring keys for one query, as the product with v takes them. weights.cpp
// scales q and k so that the upper half of a sum of products is the logit, with as many bits behind the point as its
// bound leaves, so that none overflows. Where a bound leaves too few, the layer has no fraction_bits and stays with
// attention.h. What 16 bits cannot hold of a difference from the highest logit is a weight of 0 in any case.
#pragma once

#include "attention.h"
#include "functions_int16.h"

#if defined(CATCHLIGHT_AVX2_ONLY)

namespace catchlight {
namespace {

// A mask is the most that a logit may be.
constexpr int32_t kMaskedPair = INT32_MIN | 0x8000, kSeenPair = 0x7fff7fff;

// The factors of attention for IntegerHead, one after the other.
CATCHLIGHT_INLINE void project_in_integers(const Layer& layer, const float* x, float* to) {
  const int channels = layer.channels;
  const auto keep = [=](int n, int token, const Vector (*sums)[kStrip]) __attribute__((always_inline)) {
    if (n < 2 * channels) {
      store_upper(to, n, token, sums);
    } else {
      CATCHLIGHT_UNROLL
      for (int i = 0; i < 2; ++i) {
        const __m256i first = _mm256_srai_epi32((__m256i)sums[i][0], kValueShift);
        const __m256i second = _mm256_srai_epi32((__m256i)sums[i][1], kValueShift);
        const __m256i values = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
        store(to + ((n + i) * kTokens + token) / 2, values);
      }
    }
  };
  multiply<2, true>(layer.qkv, x, keep);
}

// One head for one strip of queries: q and k as Head has them; v is [head channels][32 pairs of keys].
template <bool kCut>
struct IntegerHead {
  const float *q, *k, *v;
  int size, fraction_bits;
  const float* position;  // pairs: of a key, and of the next
  const int32_t (&mask)[4][kPlane];
  int token;  // the first query

  CATCHLIGHT_INLINE __m256i mask_of(int key, int s) const {
    return _mm256_loadu_si256((const __m256i*)(mask[quarter_of(key)] + token % kPlane + s * kLanes % kPlane));
  }

  // Logits [32][kStripTokens], and the highest of each query in both halves of its lane.
  CATCHLIGHT_INLINE void find_logits(float* logits, __m256i (&highest)[kStrip]) const {
    for (int s = 0; s < kStrip; ++s) highest[s] = every16(-32768);
    for (int key = 0; key < kTokens; key += kKeys) {
      Vector sum[kKeys][kStrip];
      CATCHLIGHT_UNROLL
      for (int n = 0; n < kKeys; ++n) {
        CATCHLIGHT_UNROLL
        for (int s = 0; s < kStrip; ++s) {
          const __m256i queries = load_integers(q + token + s * kLanes);
          sum[n][s] = (Vector)_mm256_madd_epi16(queries, (__m256i)broadcast_factors<2>(k + key + n));
        }
      }
      accumulate<2, kKeys, 1, kTokens>(sum, k + kTokens + key, q + kTokens + token, kTokens, size / 2 - 1);

      const float* from = position_of_key(position, key) + position_of_query(token);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < kKeys; n += 2) {
        CATCHLIGHT_UNROLL
        for (int s = 0; s < kStrip; ++s) {
          __m256i pair = (__m256i)upper_halves(sum[n][s], sum[n + 1][s]);
          const __m256i bias = load_integers(from - n * 2 * kPlane + position_of_query(s * kLanes));
          pair = _mm256_adds_epi16(pair, bias);
          if (kCut) pair = _mm256_min_epi16(pair, mask_of(key + n, s));
          highest[s] = _mm256_max_epi16(highest[s], pair);
          store(logits + (key + n) / 2 * kStripTokens + s * kLanes, pair);
        }
      }
    }
    for (int s = 0; s < kStrip; ++s) {
      const __m256i swapped = _mm256_or_si256(_mm256_slli_epi32(highest[s], 16), _mm256_srli_epi32(highest[s], 16));
      highest[s] = _mm256_max_epi16(highest[s], swapped);
    }
  }

  // Logits to weights, in place, and their sums.
  CATCHLIGHT_INLINE void weigh(const __m256i (&highest)[kStrip], float* weights, __m256i (&total)[kStrip]) const {
    static_assert(kAbreast == 4 && kAbreast * kLargestWeight <= 32767, "so many weights are summed in 16 bits");
    const Power16 power(fraction_bits);
    for (int s = 0; s < kStrip; ++s) {
      total[s] = _mm256_setzero_si256();
      for (int pair = 0; pair < kTokens / 2; pair += kAbreast) {
        float* at = weights + pair * kStripTokens + s * kLanes;
        __m256i x[kAbreast];
        CATCHLIGHT_UNROLL
        for (int i = 0; i < kAbreast; ++i) {
          x[i] = _mm256_subs_epi16(load_integers(at + i * kStripTokens), highest[s]);
          // Again, for the highest may be nearly as low as the mask.
          if (kCut) x[i] = _mm256_min_epi16(x[i], mask_of(2 * (pair + i), s));
        }
        power(x);
        CATCHLIGHT_UNROLL
        for (int i = 0; i < kAbreast; ++i) store(at + i * kStripTokens, x[i]);
        const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(x[0], x[1]), _mm256_add_epi16(x[2], x[3]));
        total[s] = _mm256_add_epi32(total[s], _mm256_madd_epi16(sum, every16(1)));
      }
    }
  }

  // weights: scratch of [32][kStripTokens]; to: factors [head channels / 2][64].
  CATCHLIGHT_INLINE void attend(float* weights, float* to) const {
    __m256i highest[kStrip], total[kStrip];
    find_logits(weights, highest);
    weigh(highest, weights, total);
    Vector share[kStrip];
    for (int s = 0; s < kStrip; ++s) {
      share[s] = (float)(1 << (kValueShift - 16)) / (Vector)_mm256_cvtepi32_ps(total[s]);
    }
    for_each_block<2>(size, [&](auto block, int first) __attribute__((always_inline)) {
      constexpr int outputs = decltype(block)::value, kLength = kTokens / 2;
      Vector sum[outputs][kStrip] = {};
      accumulate<2, outputs, kLength, 1>(sum, v + first * kLength, weights, kStripTokens, kLength);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int s = 0; s < kStrip; ++s) sum[n][s] = (Vector)_mm256_cvtepi32_ps((__m256i)sum[n][s]) * share[s];
      }
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; n += 2) store_factors<2>(to, first + n, token, sum + n);
    });
  }
};

// As attend() in attention.h, for a layer with fraction_bits.
CATCHLIGHT_INLINE void attend_in_integers(const float* qkv, const Layer& layer, Cut cut, float* weights, float* to) {
  int32_t mask[4][kPlane];
  fill_mask(cut, kMaskedPair, kSeenPair, mask);
  const int size = layer.channels / layer.heads, step = size * (kTokens / 2);
  const float *q = qkv, *k = q + layer.heads * step, *v = k + layer.heads * step, *position = layer.position;
  for (int h = 0; h < layer.heads; ++h) {
    const int bits = (int)layer.fraction_bits[h];
    for (int token = 0; token < kTokens; token += kStripTokens) {
      if (cut.rows || cut.columns) {
        IntegerHead<true>{q, k, v, size, bits, position, mask, token}.attend(weights, to);
      } else {
        IntegerHead<false>{q, k, v, size, bits, position, mask, token}.attend(weights, to);
      }
    }
    q += step, k += step, v += step, to += step, position += kPosition;
  }
}

}  // namespace
}  // namespace catchlight

#endif
