#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace catchlight {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int kTaps = 9;
constexpr int kTable = 2 * kWindow - 1;  // side of a checkpoint's table of position biases

// What the sum of products of integers may reach: less than 2^31, by more than rounding adds.
constexpr double kLargestSum = 2.1e9;

// A linear layer in double precision: weights [output][input].
struct Linear {
  int inputs, outputs;
  std::vector<double> weights, bias;

  double* row(int output) { return &weights[static_cast<size_t>(output) * inputs]; }

  // Sum of |weight|^power of an output.
  double sum(int output, int power) {
    double total = 0;
    for (int k = 0; k < inputs; ++k) total += std::pow(std::abs(row(output)[k]), power);
    return total;
  }

  // The most that an output can be behind a LayerNorm, whose outputs have at most the length sqrt(inputs); not 0, for
  // it is divided by.
  double bound(int output) { return std::max(std::sqrt(inputs * sum(output, 2)) + std::abs(bias[output]), 1e-6); }

  void multiply_input(int input, double factor) {
    for (int n = 0; n < outputs; ++n) row(n)[input] *= factor;
  }
  void multiply_output(int output, double factor) {
    for (int k = 0; k < inputs; ++k) row(output)[k] *= factor;
    bias[output] *= factor;
  }
};

// Makes weights integers for inputs that are integers up to kLargestFactor; `length`: as a vector, too, they are no
// longer than that. Every output gets the largest with which no sum overflows: it is at most the product of both
// lengths, or the largest input times the sum of the weights. Returns what the sums must be multiplied by.
std::vector<double> rounded(Linear& linear, bool length) {
  std::vector<double> scale;
  for (int n = 0; n < linear.outputs; ++n) {
    double largest = 1e-30;
    for (int k = 0; k < linear.inputs; ++k) largest = std::max(largest, std::abs(linear.row(n)[k]));
    const double sum = std::max(length ? std::sqrt(linear.sum(n, 2)) : linear.sum(n, 1), largest);
    const double step = std::min(kLargestFactor / largest, kLargestSum / (kLargestFactor * sum));
    for (int k = 0; k < linear.inputs; ++k) linear.row(n)[k] *= step;
    scale.push_back(1 / step);
  }
  return scale;
}

// Hands out the storage and reads the checkpoint, both from front to back.
class Packer {
 public:
  Packer(const float* from, float* to, int pack) : from_(from), to_(to), pack_(pack) {}

  Affine affine(int channels) {
    const float *gain = take(channels), *bias = take(channels);
    return {copy(gain, channels), copy(bias, channels)};
  }

  Linear linear(int inputs, int outputs) {
    const float *weights = take(static_cast<size_t>(outputs) * inputs), *bias = take(outputs);
    return {inputs, outputs, {weights, weights + static_cast<size_t>(outputs) * inputs}, {bias, bias + outputs}};
  }

  // A linear layer behind a LayerNorm whose gain and bias it takes over.
  Linear linear_after(const float* gain, const float* shift, int inputs, int outputs) {
    Linear linear = this->linear(inputs, outputs);
    for (int n = 0; n < outputs; ++n) {
      for (int k = 0; k < inputs; ++k) {
        linear.bias[n] += linear.row(n)[k] * shift[k];
        linear.row(n)[k] *= gain[k];
      }
    }
    return linear;
  }

  Matrix matrix(const Linear& linear) {
    const float* weights = packed(linear.weights, linear.inputs, linear.outputs, pack_);
    return {weights, copy(linear.bias), linear.inputs, linear.outputs, pack_, nullptr};
  }

  // The same with integers for weights and for inputs; `length`: as in rounded().
  Matrix integer_matrix(Linear linear, bool length) {
    const std::vector<double> scale = rounded(linear, length);
    const float* weights = packed(linear.weights, linear.inputs, linear.outputs, pack_, true);
    return {weights, copy(linear.bias), linear.inputs, linear.outputs, pack_, copy(scale)};
  }

  // G g G^T of every 3x3 filter g, point by point (winograd.h).
  Matrix convolution(int inputs, int outputs, int pack, bool integer) {
    constexpr double kG[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    const size_t filters = static_cast<size_t>(outputs) * inputs;
    const float *weights = take(filters * kTaps), *bias = take(outputs), *first = nullptr;
    std::vector<double> scales;
    for (int point = 0; point < 16; ++point) {
      Linear of_point = {inputs, outputs, std::vector<double>(filters), {}};
      for (size_t i = 0; i < filters; ++i) {
        for (int tap = 0; tap < kTaps; ++tap) {
          of_point.weights[i] += kG[point / 4][tap / 3] * kG[point % 4][tap % 3] * weights[i * kTaps + tap];
        }
      }
      if (integer) {
        const std::vector<double> scale = rounded(of_point, false);
        scales.insert(scales.end(), scale.begin(), scale.end());
      }
      const float* here = packed(of_point.weights, inputs, outputs, pack, integer);
      if (point == 0) first = here;
    }
    return {first, copy(bias, outputs), inputs, outputs, pack, integer ? copy(scales) : nullptr};
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

  const float* copy(const std::vector<double>& from) {
    float* to = give(from.size());
    std::transform(from.begin(), from.end(), to, [](double value) { return static_cast<float>(value); });
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
  const float* packed(const std::vector<double>& weights, int inputs, int outputs, int pack, bool integer = false) {
    float *start = to_ + used_, *out = start;
    const int most = kBlock / pack, lanes = outputs / pack, blocks = (lanes + most - 1) / most;
    for (int b = 0, first = 0; b < blocks; ++b) {
      const int size = (lanes / blocks + (b < lanes % blocks)) * pack;
      for (int k = 0; k < inputs; k += pack) {
        for (int n = first; n < first + size; ++n) {
          const double* from = &weights[static_cast<size_t>(n) * inputs + k];
          const double next = k + 1 < inputs ? from[1] : 0.0;
          *out++ = pack == 1 ? static_cast<float>(from[0])
                   : integer ? pair(integer16(from[0]), integer16(next))
                             : pair(bfloat16(from[0]), bfloat16(next));
        }
      }
      first += size;
    }
    used_ = out - to_;
    return start;
  }

  // Two numbers in the bits of a float.
  static float pair(uint32_t low, uint32_t high) {
    const uint32_t bits = high << 16 | low;
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

  static uint32_t integer16(double value) { return static_cast<uint16_t>(std::lround(value)); }

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

// Moves factors between the linear layers of a Swin layer so that whatever is rounded to an integer is at most
// kLargestFactor; `logits`: what products of q and k are multiplied by, for each head.
void fit_integers(const Config& config, Linear& qkv, Linear& proj, Linear& fc1, Linear& fc2, double* logits,
                  double* hidden) {
  constexpr double kLargest = kLargestFactor - 32;  // rounding makes sums larger by less than a thousandth
  const int c = config.channels, size = c / config.heads;
  for (int h = 0; h < config.heads; ++h) {
    double largest = 0, sum = 0;
    for (int q = h * size; q < (h + 1) * size; ++q) {
      const double product = qkv.bound(q) * qkv.bound(c + q);
      largest = std::max(largest, product);
      sum += product;
    }
    const double factor = std::min(kLargest * kLargest / largest, kLargestSum / sum);
    for (int q = h * size; q < (h + 1) * size; ++q) {
      const double ratio = qkv.bound(q) / qkv.bound(c + q);
      qkv.multiply_output(q, std::sqrt(factor / ratio));
      qkv.multiply_output(c + q, std::sqrt(factor * ratio));
    }
    logits[h] = 1 / factor;
  }
  for (int v = 0; v < c; ++v) {  // attention is a mean of these
    const double factor = kLargest / qkv.bound(2 * c + v);
    qkv.multiply_output(2 * c + v, factor);
    proj.multiply_input(v, 1 / factor);
  }
  for (int n = 0; n < config.hidden(); ++n) {
    hidden[n] = kLargest / std::max(fc1.bound(n), 1.0);  // GELU is larger than -1 and at most its argument or 0
    fc2.multiply_input(n, 1 / hidden[n]);
  }
  for (int k = 0; k < c; ++k) {  // a LayerNorm makes integers of this length
    qkv.multiply_input(k, std::sqrt(c) / kLargestFactor);
    fc1.multiply_input(k, std::sqrt(c) / kLargestFactor);
  }
}

Layer layer(Packer& packer, const Config& config, bool shifted, bool integer) {
  const int c = config.channels, hidden = config.hidden();
  Layer layer = {};
  layer.channels = c;
  layer.heads = config.heads;
  layer.shifted = shifted;
  const float *gain1 = packer.take(c), *bias1 = packer.take(c);
  Linear qkv = packer.linear_after(gain1, bias1, c, 3 * c);
  for (int n = 0; n < c; ++n) qkv.multiply_output(n, kLog2E / std::sqrt(static_cast<double>(c / config.heads)));
  layer.position = packer.position(config.heads);
  Linear proj = packer.linear(c, c);
  const float *gain2 = packer.take(c), *bias2 = packer.take(c);
  Linear fc1 = packer.linear_after(gain2, bias2, c, hidden), fc2 = packer.linear(hidden, c);
  if (integer) {
    std::vector<double> logits(config.heads), scale(hidden);
    fit_integers(config, qkv, proj, fc1, fc2, logits.data(), scale.data());
    layer.logit_scale = packer.copy(logits);
    layer.hidden_scale = packer.copy(scale);
    layer.qkv = packer.integer_matrix(std::move(qkv), true);
    layer.proj = packer.integer_matrix(std::move(proj), false);
    layer.fc1 = packer.integer_matrix(std::move(fc1), true);
    layer.fc2 = packer.integer_matrix(std::move(fc2), false);
  } else {
    layer.qkv = packer.matrix(qkv);
    layer.proj = packer.matrix(proj);
    layer.fc1 = packer.matrix(fc1);
    layer.fc2 = packer.matrix(fc2);
  }
  return layer;
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

Weights::Weights(const Config& config, const float* from, const Kernels& kernels) : storage_(packed_size(config)) {
  Packer packer(from, storage_.data(), kernels.pack);
  const int c = config.channels, pack = kernels.pack;
  // Between pixels and features single precision is kept, not bfloat16: that is where rounding would be seen most.
  const int outer = kernels.integer ? pack : 1;
  conv_first = packer.convolution(config.inputs(), c, outer, kernels.integer);
  patch_norm = packer.affine(c);
  for (int depth : config.depths) {
    Group group;
    for (int i = 0; i < depth; ++i) group.layers.push_back(layer(packer, config, i % 2 == 1, kernels.integer));
    group.conv = packer.convolution(c, c, pack, kernels.integer);
    groups.push_back(std::move(group));
  }
  norm = packer.affine(c);
  conv_body = packer.convolution(c, c, pack, kernels.integer);
  conv_up = packer.convolution(c, config.outputs(), outer, kernels.integer);
}

}  // namespace catchlight
