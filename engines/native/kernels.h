// What the network (network.cpp) and the kernels (kernel_*.cpp) agree on: the layout of activations and weights, and
// the table of functions that each instruction set offers. Plain structures only: this header is compiled under
// different instruction sets, so nothing in it may become code.
//
// Activations are "tiles": one 8x8 window of C channels is float [C][64], contiguous. The 64 tokens of a channel are
// ordered by parity, then by 2x2 block: token = (y % 2 * 2 + x % 2) * 16 + (y / 2) * 4 + x / 2. So tokens fill vector
// lanes for any C and any head size, a half-window shift moves whole blocks, and the neighbours that a 3x3
// convolution needs are whole vectors again (halo.h).
//
// What a product multiplies with weights is "factors": tiles too, but where the processor has products of bfloat16, a
// lane holds two neighbouring channels in that format (vector.h), or as 16-bit integers where it has AVX2 only. What is
// added up stays in single precision, or is an exact sum of integers.
//
// A map is a tile for each window, windows row by row, images one after the other. In a shifted map, window (r, c)
// covers rows 8r+4 to 8r+11 and columns 8c+4 to 8c+11 of the image, wrapping round at its end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace catchlight {

constexpr int kWindow = 8;
constexpr int kTokens = kWindow * kWindow;
constexpr int kPlane = 16;  // tokens of one parity: 4x4 blocks
constexpr int kHalo = 256;  // floats of a channel, transformed for a 3x3 convolution (winograd.h)
constexpr float kLargestFactor = 32767.f;  // of those that are integers
constexpr int kBlock = 6;   // output channels that a kernel holds in registers

// Position biases of one head: a vector of kPlane for each of the 9x9 offsets (attention.h).
constexpr int kOffsets = 9;
constexpr int kPosition = kOffsets * kOffsets * kPlane;

// Attention in 16-bit integers (attention_int16.h): bits behind the point of logits; the largest weight and the largest
// value that it is multiplied by, so that the sum over all keys is less than 2^31; by how much a value's own sum is
// shifted.
constexpr int kFewestFractionBits = 8, kMostFractionBits = 11;
constexpr int kLargestWeight = 8191, kLargestValue = 4095, kValueShift = 19;
static_assert((int64_t)kTokens * kLargestWeight * kLargestValue <= INT32_MAX);
static_assert(kLargestValue == INT32_MAX >> kValueShift);

constexpr int kGeluConstants = 3;  // lanes for a pair of hidden channels

// y = W x + b over channels, or a 3x3 convolution. The outputs are cut into blocks of at most kBlock, as equal as can
// be (tile.h); the weights of a block are [input][output of the block], where an input is a lane of `pack` of
// them. A convolution has 16 such matrices, one for each point (winograd.h).
struct Matrix {
  const float* weights;
  const float* bias;
  int inputs;
  int outputs;
  int pack;  // inputs in a lane of factors: 1 float, or 2 of 16 bits
  // Null, or for integers: what the sum for each output (of each point) is multiplied by. Integers without it give
  // integers: the upper halves of their sums, to which `bias`, 32-bit integers, belongs.
  const float* scale;
};

// LayerNorm's gain and bias, a float for each channel.
struct Affine {
  const float* gain;
  const float* bias;
};

struct Grid {
  int images, rows, columns;  // in windows
};

// uint8 frames to a map of 3 * frames * unshuffle^2 channels, in torch's order of pixel_unshuffle.
struct Reading {
  const uint8_t* pixels;  // (images, height, width, channels)
  int height, width, channels, unshuffle;
  Grid grid;
  float* map;
};

// One Swin layer from one map to another.
struct Layer {
  Matrix qkv, proj, fc1, fc2;  // LayerNorm, 1/sqrt(head) and log2(e) are folded into them
  const float* position;       // [heads][kPosition], times log2(e)
  // The rest is null but for integers. What the products of q and k are multiplied by, for each head:
  const float* logit_scale;
  // Null, too, unless all of attention is in integers: bits behind the point of each head's logits, to which `position`
  // is rounded then, with the bias of the next key in the upper half of each lane.
  const float* fraction_bits;
  // [hidden / 2][kGeluConstants] lanes of two integers. Hidden channels have been multiplied by a power of 2 each: what
  // the end of GELU's bump (functions.h) became by that, less 1; what it must be multiplied by to be 2^16; half of that
  // power.
  const float* gelu;
  int channels, heads;
  bool shifted;
};

struct LayerCall {
  const Layer* layer;
  Grid grid;
  const float* from;
  bool from_shifted;
  float* to;
};

// A shifted map back to a plain one.
struct Realigning {
  int channels;
  Grid grid;
  const float* from;
  float* to;
};

// to = convolution(from) + add, and normalized = LayerNorm(to) where asked for. `to` may be `add`.
struct Convolution {
  Matrix matrix;
  Grid grid;
  const float* from;
  const float* add;  // null: nothing is added
  float* to;
  Affine norm;
  float* normalized;  // null: not wanted
};

// Bicubic interpolation of the newest frame plus the residual that the last convolution gives, shuffled to pixels.
struct Writing {
  Matrix matrix;
  Grid grid;
  const float* from;
  const uint8_t* pixels;  // (images, height, width, channels)
  int height, width, channels, unshuffle, scale;
  uint8_t* output;  // (images, height * scale, width * scale, 3)
  float* exact;     // null, or the same before clamping and rounding
};

// Each function works on one window, given by its index in the map, with scratch of its thread's own.
struct Kernels {
  const char* name;
  int pack;  // what Matrix::pack must be; bfloat16: but for a network's first and last two convolutions, where it is 1
  bool integer;  // factors are integers
  void (*read)(const Reading&, int window);
  void (*layer)(const LayerCall&, int window, float* scratch);
  void (*realign)(const Realigning&, int window);
  void (*convolve)(const Convolution&, int window, float* scratch);
  void (*write)(const Writing&, int window, float* scratch);
};

extern const Kernels kKernelsPortable;
#if defined(__x86_64__)
extern const Kernels kKernelsAvx2;
extern const Kernels kKernelsAvx2Int16;
extern const Kernels kKernelsAvxVnniInt16 __attribute__((weak));  // its address is null where the build left it out
extern const Kernels kKernelsAvx512;
extern const Kernels kKernelsAvx512Bf16;
#endif

}  // namespace catchlight
