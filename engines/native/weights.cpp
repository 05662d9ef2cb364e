#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace catchlight {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int kTaps = 9;
constexpr int kTable = 2 * kWindow - 1;  // side of a checkpoint's table of position biases

// Hands out the storage and reads the checkpoint, both from front to back.
class Packer {
 public:
  Packer(const float* from, float* to, int pack) : from_(from), to_(to), pack_(pack) {}

  Affine affine(int channels) {
    const float *gain = take(channels), *bias = take(channels);
    return {copy(gain, channels), copy(bias, channels)};
  }

  Matrix linear(int inputs, int outputs) {
    const float *weights = take(static_cast<size_t>(outputs) * inputs), *bias = take(outputs);
    const std::vector<double> w(weights, weights + static_cast<size_t>(outputs) * inputs);
    return {packed(w, inputs, outputs, pack_), copy(bias, outputs), inputs, outputs, pack_};
  }

  // G g G^T of every 3x3 filter g, point by point (winograd.h).
  Matrix convolution(int inputs, int outputs, int pack) {
    constexpr double kG[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    const size_t filters = static_cast<size_t>(outputs) * inputs;
    const float *weights = take(filters * kTaps), *bias = take(outputs), *first = nullptr;
    std::vector<double> of_point(filters);
    for (int point = 0; point < 16; ++point) {
      for (size_t i = 0; i < filters; ++i) {
        of_point[i] = 0;
        for (int tap = 0; tap < kTaps; ++tap) {
          of_point[i] += kG[point / 4][tap / 3] * kG[point % 4][tap % 3] * weights[i * kTaps + tap];
        }
      }
      const float* here = packed(of_point, inputs, outputs, pack);
      if (point == 0) first = here;
    }
    return {first, copy(bias, outputs), inputs, outputs, pack};
  }

  // A linear layer behind a LayerNorm whose gain and bias it takes over; the first `scaled` outputs times `scale`.
  Matrix linear_after(const float* gain, const float* shift, int inputs, int outputs, int scaled, double scale) {
    const float *weights = take(static_cast<size_t>(outputs) * inputs), *bias = take(outputs);
    std::vector<double> w(static_cast<size_t>(outputs) * inputs);
    float* b = give(outputs);
    for (int n = 0; n < outputs; ++n) {
      const double factor = n < scaled ? scale : 1.0;
      double constant = bias[n];
      for (int k = 0; k < inputs; ++k) {
        const double value = weights[static_cast<size_t>(n) * inputs + k];
        constant += value * shift[k];
        w[static_cast<size_t>(n) * inputs + k] = value * gain[k] * factor;
      }
      b[n] = static_cast<float>(constant * factor);
    }
    return {packed(w, inputs, outputs, pack_), b, inputs, outputs, pack_};
  }

  // A position table (225, heads) as vectors of 16 queries (attention.h).
  const float* position(int heads) {
    const float* table = take(static_cast<size_t>(kTable) * kTable * heads);
    float* to = give(static_cast<size_t>(heads) * kPosition);
    float* out = to;
    for (int h = 0; h < heads; ++h) {
      for (int offset = 0; offset < kOffsets * kOffsets; ++offset) {
        for (int block = 0; block < kPlane; ++block) {
          const int row = block / 4 * 2 + offset / kOffsets, column = block % 4 * 2 + offset % kOffsets;
          *out++ = static_cast<float>(table[(row * kTable + column) * heads + h] * kLog2E);
        }
      }
    }
    return to;
  }

  const float* take(size_t count) {
    const float* taken = from_;
    from_ += count;
    return taken;
  }

 private:
  // Aligned to a cache line, as the storage is.
  float* give(size_t count) {
    used_ = (used_ + 15) / 16 * 16;
    float* given = to_ + used_;
    used_ += count;
    return given;
  }

  const float* copy(const float* from, int count) {
    float* to = give(count);
    std::copy(from, from + count, to);
    return to;
  }

  // weights: [output][input]. Points of a convolution lie without a gap between them.
  const float* packed(const std::vector<double>& weights, int inputs, int outputs, int pack) {
    float *start = to_ + used_, *out = start;
    const int most = kBlock / pack, lanes = outputs / pack, blocks = (lanes + most - 1) / most;
    for (int b = 0, first = 0; b < blocks; ++b) {
      const int size = (lanes / blocks + (b < lanes % blocks)) * pack;
      for (int k = 0; k < inputs; k += pack) {
        for (int n = first; n < first + size; ++n) {
          const double* from = &weights[static_cast<size_t>(n) * inputs + k];
          *out++ = pack == 1 ? static_cast<float>(from[0]) : pair(from[0], k + 1 < inputs ? from[1] : 0.0);
        }
      }
      first += size;
    }
    used_ = out - to_;
    return start;
  }

  // Two bfloat16 in the bits of a float.
  static float pair(double low, double high) {
    const uint32_t bits = bfloat16(high) << 16 | bfloat16(low);
    float lane;
    std::memcpy(&lane, &bits, sizeof lane);
    return lane;
  }

  // Rounded to the nearest, ties to even.
  static uint32_t bfloat16(double value) {
    const float single = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &single, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  }

  const float* from_;
  float* const to_;
  const int pack_;
  size_t used_ = 0;
};

size_t layer_parameters(const Config& config) {
  const size_t c = config.channels, hidden = config.hidden();
  return 2 * c + 3 * c * c + 3 * c + static_cast<size_t>(kTable) * kTable * config.heads + c * c + c + 2 * c +
         hidden * c + hidden + c * hidden + c;
}

// More than enough for all tensors: convolutions and position tables grow, and some are rounded up.
size_t packed_size(const Config& config) {
  size_t layers = 0;
  for (int depth : config.depths) layers += depth;
  const size_t tensors = 16 * (layers * 16 + config.depths.size() * 2 + 16);
  return 2 * config.parameters() + layers * config.heads * kPosition + tensors;
}

}  // namespace

size_t Config::parameters() const {
  const size_t c = channels, conv = kTaps * c * c + c;
  size_t total = kTaps * c * inputs() + c + 2 * c + 2 * c + conv + kTaps * c * outputs() + outputs();
  for (int depth : depths) total += depth * layer_parameters(*this) + conv;
  return total;
}

Weights::Weights(const Config& config, const float* from, int pack) : storage_(packed_size(config)) {
  Packer packer(from, storage_.data(), pack);
  const int c = config.channels;
  const double query_scale = kLog2E / std::sqrt(static_cast<double>(c / config.heads));
  // Between pixels and features single precision is kept: that is where rounding would be seen most.
  conv_first = packer.convolution(config.inputs(), c, 1);
  patch_norm = packer.affine(c);
  for (int depth : config.depths) {
    Group group;
    for (int i = 0; i < depth; ++i) {
      Layer layer;
      layer.channels = c;
      layer.heads = config.heads;
      layer.shifted = i % 2 == 1;
      const float *gain1 = packer.take(c), *bias1 = packer.take(c);
      layer.qkv = packer.linear_after(gain1, bias1, c, 3 * c, c, query_scale);
      layer.position = packer.position(config.heads);
      layer.proj = packer.linear(c, c);
      const float *gain2 = packer.take(c), *bias2 = packer.take(c);
      layer.fc1 = packer.linear_after(gain2, bias2, c, config.hidden(), 0, 1.0);
      layer.fc2 = packer.linear(config.hidden(), c);
      group.layers.push_back(layer);
    }
    group.conv = packer.convolution(c, c, pack);
    groups.push_back(std::move(group));
  }
  norm = packer.affine(c);
  conv_body = packer.convolution(c, c, pack);
  conv_up = packer.convolution(c, config.outputs(), 1);
}

}  // namespace catchlight
