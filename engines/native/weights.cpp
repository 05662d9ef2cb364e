#include "weights.h"

#include <algorithm>
#include <cmath>

namespace catchlight {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int kTable = 2 * kWindow - 1;  // side of a checkpoint's table of position biases

size_t rounded(size_t floats) { return (floats + 15) / 16 * 16; }

// Hands out the storage and reads the checkpoint, both from front to back.
class Packer {
 public:
  Packer(const float* from, float* to) : from_(from), to_(to) {}

  Affine affine(int channels) {
    const float *gain = take(channels), *bias = take(channels);
    return {copy(gain, channels), copy(bias, channels)};
  }

  // A linear layer or, with inputs times nine, a convolution.
  Matrix matrix(int inputs, int outputs, int taps) {
    const float *weights = take(static_cast<size_t>(outputs) * inputs * taps), *bias = take(outputs);
    return pack(std::vector<double>(weights, weights + static_cast<size_t>(outputs) * inputs * taps),
                std::vector<double>(bias, bias + outputs), inputs, outputs, taps);
  }

  // A linear layer behind a LayerNorm whose gain and bias it takes over; the first `scaled` outputs times `scale`.
  Matrix matrix_after(const float* gain, const float* shift, int inputs, int outputs, int scaled, double scale) {
    const float *weights = take(static_cast<size_t>(outputs) * inputs), *bias = take(outputs);
    std::vector<double> w(static_cast<size_t>(outputs) * inputs), b(outputs);
    for (int n = 0; n < outputs; ++n) {
      const double factor = n < scaled ? scale : 1.0;
      b[n] = bias[n];
      for (int k = 0; k < inputs; ++k) {
        const double value = weights[static_cast<size_t>(n) * inputs + k];
        b[n] += value * shift[k];
        w[static_cast<size_t>(n) * inputs + k] = value * gain[k] * factor;
      }
      b[n] *= factor;
    }
    return pack(w, b, inputs, outputs, 1);
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
  float* give(size_t count) {
    float* given = to_;
    to_ += rounded(count);
    return given;
  }

  const float* copy(const float* from, int count) {
    float* to = give(count);
    std::copy(from, from + count, to);
    return to;
  }

  Matrix pack(const std::vector<double>& weights, const std::vector<double>& bias, int inputs, int outputs, int taps) {
    const size_t sums = static_cast<size_t>(inputs) * taps;
    float *packed = give(sums * outputs), *out = packed, *packed_bias = give(outputs);
    const int blocks = (outputs + kBlock - 1) / kBlock;
    for (int b = 0, first = 0; b < blocks; ++b) {
      const int size = outputs / blocks + (b < outputs % blocks);
      for (size_t k = 0; k < sums; ++k) {
        for (int n = first; n < first + size; ++n) *out++ = static_cast<float>(weights[n * sums + k]);
      }
      first += size;
    }
    for (int n = 0; n < outputs; ++n) packed_bias[n] = static_cast<float>(bias[n]);
    return {packed, packed_bias, inputs, outputs};
  }

  const float* from_;
  float* to_;
};

size_t layer_parameters(const Config& config) {
  const size_t c = config.channels, hidden = config.hidden();
  return 2 * c + 3 * c * c + 3 * c + static_cast<size_t>(kTable) * kTable * config.heads + c * c + c + 2 * c +
         hidden * c + hidden + c * hidden + c;
}

// More than enough for all tensors: each is rounded up, and position tables grow.
size_t packed_size(const Config& config) {
  size_t layers = 0;
  for (int depth : config.depths) layers += depth;
  const size_t tensors = 16 * (layers * 16 + config.depths.size() * 2 + 16);
  return config.parameters() + layers * config.heads * kPosition + tensors;
}

}  // namespace

size_t Config::parameters() const {
  const size_t c = channels, conv = kTaps * c * c + c;
  size_t total = kTaps * c * inputs() + c + 2 * c + 2 * c + conv + kTaps * c * outputs() + outputs();
  for (int depth : depths) total += depth * layer_parameters(*this) + conv;
  return total;
}

Weights::Weights(const Config& config, const float* from) : storage_(packed_size(config)) {
  Packer packer(from, storage_.data());
  const int c = config.channels;
  const double query_scale = kLog2E / std::sqrt(static_cast<double>(c / config.heads));
  conv_first = packer.matrix(config.inputs(), c, kTaps);
  patch_norm = packer.affine(c);
  for (int depth : config.depths) {
    Group group;
    for (int i = 0; i < depth; ++i) {
      Layer layer;
      layer.channels = c;
      layer.heads = config.heads;
      layer.shifted = i % 2 == 1;
      const float *gain1 = packer.take(c), *bias1 = packer.take(c);
      layer.qkv = packer.matrix_after(gain1, bias1, c, 3 * c, c, query_scale);
      layer.position = packer.position(config.heads);
      layer.proj = packer.matrix(c, c, 1);
      const float *gain2 = packer.take(c), *bias2 = packer.take(c);
      layer.fc1 = packer.matrix_after(gain2, bias2, c, config.hidden(), 0, 1.0);
      layer.fc2 = packer.matrix(config.hidden(), c, 1);
      group.layers.push_back(layer);
    }
    group.conv = packer.matrix(c, c, kTaps);
    groups.push_back(std::move(group));
  }
  norm = packer.affine(c);
  conv_body = packer.matrix(c, c, kTaps);
  conv_up = packer.matrix(c, config.outputs(), kTaps);
}

}  // namespace catchlight
