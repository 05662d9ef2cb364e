// Multi-head attention inside one window (Swin, eq. 4), queries in vector lanes.
//
// The bias of query (yi, xi) and key (yj, xj) depends on their distance only. With tokens ordered by parity and block,
// 16 queries of one parity (py, px) see a key as 16 entries of the position table: those of rows 2*ty + a and columns
// 2*tx + b, where a = py - yj + 7 and b = px - xj + 7. So a head needs one vector for each of the 9x9 pairs (a, b),
// 5 kB instead of the 16 kB of a 64x64 matrix, and every window of a shifted map the same ones: what a roll brought
// together is kept apart by a mask, for keys in each quarter of the window.
#pragma once

#include "functions.h"
#include "tile.h"

namespace catchlight {
namespace {

constexpr int kKeys = 4;  // keys that a register tile of logits holds: a row of blocks
constexpr float kMasked = -144.269504f;  // -100 in units of log2(e)

// Softmax without subtracting the highest logit first is exact while the sum of the weights lies between these: what
// underflows is too small to count, and nothing overflows, for values up to 1e20. Otherwise it is done again, with the
// subtraction.
constexpr float kSmallest = 1e-18f, kLargest = 1e18f;

// How a window of a shifted map is cut by the end of the image.
struct Cut {
  bool rows, columns;
};

CATCHLIGHT_INLINE int row_of(int token) { return token % kPlane / 4 * 2 + token / (2 * kPlane); }
CATCHLIGHT_INLINE int column_of(int token) { return token % 4 * 2 + token / kPlane % 2; }

CATCHLIGHT_INLINE int quarter_of(int token) { return token % kPlane / 8 * 2 + token % 4 / 2; }

// Position vectors of a key for queries of parity 0.
CATCHLIGHT_INLINE const float* position_of_key(const float* position, int key) {
  return position + ((7 - row_of(key)) * kOffsets + 7 - column_of(key)) * kPlane;
}

// Offset from there for the vector of queries that begins at `token`.
CATCHLIGHT_INLINE constexpr int position_of_query(int token) {
  return (token / (2 * kPlane) * kOffsets + token / kPlane % 2) * kPlane + token % kPlane;
}

// mask[quarter of the key][block of the query].
template <class T>
CATCHLIGHT_INLINE void fill_mask(Cut cut, T masked, T seen, T (&mask)[4][kPlane]) {
  for (int quarter = 0; quarter < 4; ++quarter) {
    for (int block = 0; block < kPlane; ++block) {
      const int own = quarter_of(block);
      const bool apart = (cut.rows && own / 2 != quarter / 2) || (cut.columns && own % 2 != quarter % 2);
      mask[quarter][block] = apart ? masked : seen;
    }
  }
}

// Numbers in a lane of the factors that weights are multiplied by: they may be as large as floats can be, so that
// integers do not do.
template <int kHeld>
constexpr int kValues = kInteger<kHeld> ? 1 : kHeld;

// One head for one strip of queries: q and k are factors [head channels / kHeld][64], q scaled by
// log2(e) / sqrt(head channels); v is factors [head channels][64 / kValues].
template <int kHeld, bool kCut>
struct Head {
  const float *q, *k, *v;
  int size;
  const float* scales;  // for each head, of the products of q and k, where they are integers
  int head;
  const float* position;
  const float (&mask)[4][kPlane];
  int token;  // the first query

  // Logits of kKeys keys.
  CATCHLIGHT_INLINE void logits_of(int key, Vector (&logits)[kKeys][kStrip]) const {
    const float* from = position_of_key(position, key) + position_of_query(token);
    const float* masked = mask[quarter_of(key)] + token % kPlane;
    // Position bias and mask of a key. The keys are a row of blocks: from each to the next are two columns, or half a
    // quarter.
    const auto bias = [&](int n, int s) __attribute__((always_inline)) {
      const Vector bias = load(from - n * 2 * kPlane + position_of_query(s * kLanes));
      return kCut ? bias + load(masked + n / 2 * kPlane + s * kLanes % kPlane) : bias;
    };
    CATCHLIGHT_UNROLL
    for (int n = 0; n < kKeys; ++n) {
      CATCHLIGHT_UNROLL
      for (int s = 0; s < kStrip; ++s) logits[n][s] = first_sum<kHeld>(bias(n, s));
    }
    accumulate<kHeld, kKeys, 1, kTokens>(logits, k + key, q + token, kTokens, size / kHeld);
    CATCHLIGHT_UNROLL
    for (int n = 0; kInteger<kHeld> && n < kKeys; ++n) {
      CATCHLIGHT_UNROLL
      for (int s = 0; s < kStrip; ++s) {
        logits[n][s] = last_sum<kHeld>(logits[n][s], scales, head, bias(n, s));
      }
    }
  }

  // weights = 2^(logits - offset), factors [64 / kValues][kStripTokens], and their sums. The offset is taken off the very
  // numbers whose highest it is: earlier, among large ones, it would be rounded otherwise.
  CATCHLIGHT_INLINE void weigh(const Vector (&offset)[kStrip], float* weights, Vector (&total)[kStrip]) const {
    constexpr int kTogether = kValues<kHeld>;
    for (int s = 0; s < kStrip; ++s) total[s] = Vector{};
    for (int key = 0; key < kTokens; key += kKeys) {
      Vector logits[kKeys][kStrip];
      logits_of(key, logits);
      CATCHLIGHT_UNROLL
      for (int first = 0; first < kKeys / kTogether * kStrip; first += kAbreast) {
        Vector weight[kTogether][kAbreast];
        CATCHLIGHT_UNROLL
        for (int i = 0; i < kTogether; ++i) {
          CATCHLIGHT_UNROLL
          for (int a = 0; a < kAbreast; ++a) {
            const int s = (first + a) % kStrip;
            weight[i][a] = logits[(first + a) / kStrip * kTogether + i][s] - offset[s];
          }
          exp2<kHeld>(weight[i]);
          CATCHLIGHT_UNROLL
          for (int a = 0; a < kAbreast; ++a) total[(first + a) % kStrip] += weight[i][a];
        }
        CATCHLIGHT_UNROLL
        for (int a = 0; a < kAbreast; ++a) {
          Vector values[kTogether];
          CATCHLIGHT_UNROLL
          for (int i = 0; i < kTogether; ++i) values[i] = weight[i][a];
          store(weights + key / kTogether * kStripTokens + (first + a) * kLanes, factors_of(values));
        }
      }
    }
  }

  CATCHLIGHT_INLINE void highest(Vector (&logits_of_query)[kStrip]) const {
    for (int s = 0; s < kStrip; ++s) logits_of_query[s] = broadcast(-3e38f);
    for (int key = 0; key < kTokens; key += kKeys) {
      Vector logits[kKeys][kStrip];
      logits_of(key, logits);
      for (int n = 0; n < kKeys; ++n) {
        for (int s = 0; s < kStrip; ++s) logits_of_query[s] = larger(logits_of_query[s], logits[n][s]);
      }
    }
  }

  // weights: scratch of [64][kStripTokens]; to: factors [head channels / kHeld][64].
  CATCHLIGHT_INLINE void attend(float* weights, float* to) const {
    Vector total[kStrip];
    weigh({}, weights, total);
    if (__builtin_expect(!all_between(total, kSmallest, kLargest), false)) {
      Vector offset[kStrip];
      highest(offset);
      weigh(offset, weights, total);
    }
    for (int s = 0; s < kStrip; ++s) total[s] = 1.f / total[s];
    for_each_block<kHeld>(size, [&](auto block, int first) __attribute__((always_inline)) {
      constexpr int outputs = decltype(block)::value;
      Vector sum[outputs][kStrip] = {};
      constexpr int kLength = kTokens / kValues<kHeld>;
      accumulate<kValues<kHeld>, outputs, kLength, 1>(sum, v + first * kLength, weights, kStripTokens, kLength);
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; ++n) {
        CATCHLIGHT_UNROLL
        for (int s = 0; s < kStrip; ++s) sum[n][s] *= total[s];
      }
      CATCHLIGHT_UNROLL
      for (int n = 0; n < outputs; n += kHeld) store_factors<kHeld>(to, first + n, token, sum + n);
    });
  }
};

// The three factors of attention, as Head takes them, one after the other.
template <int kHeld>
CATCHLIGHT_INLINE void project(const Matrix& qkv, const float* x, int channels, float* to) {
  float* v = to + 2 * channels * (kTokens / kHeld);
  multiply<kHeld>(qkv, x, [=](int n, int token, const Vector (*rows)[kStrip]) __attribute__((always_inline)) {
    if (n < 2 * channels) {
      store_factors<kHeld>(to, n, token, rows);
    } else {
      CATCHLIGHT_UNROLL
      for (int i = 0; i < kHeld; ++i) {
        store_tokens<kValues<kHeld>>(v + ((n + i - 2 * channels) * kTokens + token) / kValues<kHeld>, rows[i]);
      }
    }
  });
}

// qkv: from project(); to: factors [channels / kHeld][64]; weights: scratch of 64 * kStripTokens floats.
template <int kHeld>
CATCHLIGHT_INLINE void attend(const float* qkv, const Layer& layer, Cut cut, float* weights, float* to) {
  float mask[4][kPlane];
  fill_mask(cut, kMasked, 0.f, mask);
  const int size = layer.channels / layer.heads, step = size * (kTokens / kHeld);
  const float *q = qkv, *k = q + layer.heads * step, *v = k + layer.heads * step, *position = layer.position;
  for (int h = 0; h < layer.heads; ++h) {
    for (int token = 0; token < kTokens; token += kStripTokens) {
      if (cut.rows || cut.columns) {
        Head<kHeld, true>{q, k, v, size, layer.logit_scale, h, position, mask, token}.attend(weights, to);
      } else {
        Head<kHeld, false>{q, k, v, size, layer.logit_scale, h, position, mask, token}.attend(weights, to);
      }
    }
    q += step, k += step, v += size * (kTokens / kValues<kHeld>), to += step, position += kPosition;
  }
}

}  // namespace
}  // namespace catchlight
