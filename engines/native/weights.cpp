#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

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

  double largest(int output) {
    double largest = 0;
    for (int k = 0; k < inputs; ++k) largest = std::max(largest, std::abs(row(output)[k]));
    return largest;
  }

  // The most that an output can be behind a LayerNorm, whose outputs have at most the length sqrt(inputs); not 0, for
  // it is divided by. More where one weight is most of it, so that this has no more than 16 bits where the sum has 32.
  double bound(int output) {
    const double most = std::sqrt(inputs * sum(output, 2)) + std::abs(bias[output]);
    return std::max({most, 2 * std::sqrt(inputs) * largest(output), 1e-6});
  }

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
    const double largest = std::max(linear.largest(n), 1e-30);
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

  // The same where outputs are integers, too, at most kLargestFactor; the sums for those from `values` on are shifted by
  // kValueShift.
  Matrix upper_matrix(Linear linear, int values) {
    float* bias = give(linear.outputs);
    for (int n = 0; n < linear.outputs; ++n) {
      linear.multiply_output(n, 65536);
      const double half = std::exp2(n < values ? 15 : kValueShift - 1);  // what is shifted out is cut off
      bias[n] = lane(static_cast<uint32_t>(std::lround(linear.bias[n] + half)));
    }
    const float* weights = packed(linear.weights, linear.inputs, linear.outputs, pack_, true);
    return {weights, bias, linear.inputs, linear.outputs, pack_, nullptr};
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
  const float* position(const float* table, int heads) {
    return positions(heads, [=](int head, int row, int column) {
      return static_cast<float>(table[(row * kTable + column) * heads + head] * kLog2E);
    });
  }

  // The same for a key and the next one in its lane, with bits behind the point for each head (attention_int16.h).
  const float* position_pairs(const float* table, int heads, const std::vector<double>& fraction_bits) {
    return positions(heads, [&](int head, int row, int column) {
      const auto bias = [&](int column) {
        const double value = column < 0 ? 0 : table[(row * kTable + column) * heads + head];
        return integer16(value * kLog2E * std::exp2(fraction_bits[head]));
      };
      return pair(bias(column), bias(column - 2));  // where there is no such column there is no such key
    });
  }

  // Constants of GELU for channels that it is given times `scale`, powers of 2 (kernels.h).
  const float* gelu(const std::vector<double>& scale) {
    float* to = give(kGeluConstants * scale.size() / 2);
    float* out = to;
    for (size_t n = 0; n < scale.size(); n += 2) {
      const double low = scale[n], high = scale[n + 1];
      const auto end = [](double scale) { return integer16(std::min(4 * scale - 1, 32767.0)); };
      *out++ = pair(end(low), end(high));
      *out++ = pair(integer16(16384 / low), integer16(16384 / high));
      *out++ = pair(integer16(low / 2), integer16(high / 2));
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

  template <class F>
  const float* positions(int heads, F lane) {
    float* to = give(static_cast<size_t>(heads) * kPosition);
    float* out = to;
    for (int h = 0; h < heads; ++h) {
      for (int offset = 0; offset < kOffsets * kOffsets; ++offset) {
        for (int block = 0; block < kPlane; ++block) {
          *out++ = lane(h, block / 4 * 2 + offset / kOffsets, block % 4 * 2 + offset % kOffsets);
        }
      }
    }
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
  static float pair(uint32_t low, uint32_t high) { return lane(high << 16 | low); }

  static float lane(uint32_t bits) {
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

// Square matrices, row by row.
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, int side) {
  std::vector<double> product(a.size());
  for (int i = 0; i < side; ++i) {
    for (int j = 0; j < side; ++j) {
      for (int k = 0; k < side; ++k) product[i * side + k] += a[i * side + j] * b[j * side + k];
    }
  }
  return product;
}

// Products of rows with each other.
std::vector<double> gram(Linear& linear, int first, int size) {
  std::vector<double> gram(size * size);
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) {
      const double *a = linear.row(first + i), *b = linear.row(first + j);
      gram[i * size + j] = std::inner_product(a, a + linear.inputs, b, 0.0);
    }
  }
  return gram;
}

// The most that the product of the outputs from q on and from k on can be, behind a LayerNorm as in Linear::bound(). Of
// two inputs of length 1 it is, without the biases, at most the largest singular value of Wq^T Wk; this is bounded by
// the eighth root of the sum of their eighth powers, the trace of (Wq Wq^T Wk Wk^T)^4.
double bound_of_product(Linear& linear, int q, int k, int size) {
  const std::vector<double> of_q = gram(linear, q, size), of_k = gram(linear, k, size);
  const std::vector<double> both = product(of_q, of_k, size), squared = product(both, both, size);
  const double *bias_q = &linear.bias[q], *bias_k = &linear.bias[k];
  double trace = 0, with_q = 0, with_k = 0, biases = 0;
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) {
      trace += squared[i * size + j] * squared[j * size + i];
      with_q += bias_q[i] * of_k[i * size + j] * bias_q[j];
      with_k += bias_k[i] * of_q[i * size + j] * bias_k[j];
    }
    biases += bias_q[i] * bias_k[i];
  }
  const auto root = [](double sum, double power) { return std::pow(std::max(sum, 0.0), power); };
  return linear.inputs * root(trace, 0.125) + root(linear.inputs * with_q, 0.5) + root(linear.inputs * with_k, 0.5) +
         std::abs(biases);
}

constexpr double kLargest = kLargestFactor - 32;  // rounding makes sums larger by less than a thousandth

// Bits behind the point of each head's logits where the upper half of the sum for q times k is the logit; none at all
// where a head's bound leaves too few. table: (225, heads).
std::vector<double> find_fraction_bits(const Config& config, Linear& qkv, const float* table) {
  const int c = config.channels, size = c / config.heads;
  std::vector<double> bits;
  for (int h = 0; h < config.heads; ++h) {
    double largest = 0, bias = 0;
    for (int q = h * size; q < (h + 1) * size; ++q) largest = std::max(largest, qkv.bound(q) * qkv.bound(c + q));
    for (int i = 0; i < kTable * kTable; ++i) bias = std::max(bias, std::abs(table[i * config.heads + h] * kLog2E));
    const double logit = bound_of_product(qkv, h * size, c + h * size, size) + bias;
    const double factor = std::min(kLargest * kLargest / largest, kLargestSum / logit);
    bits.push_back(std::min<double>(std::floor(std::log2(factor)) - 16, kMostFractionBits));
    if (!(bits.back() >= kFewestFractionBits)) return {};
  }
  return bits;
}

// Moves factors between the linear layers of a Swin layer so that whatever is rounded to an integer is at most
// kLargestFactor; `logits`: what products of q and k are multiplied by, for each head.
void fit_integers(const Config& config, const std::vector<double>& fraction_bits, Linear& qkv, Linear& proj,
                  Linear& fc1, Linear& fc2, double* logits, double* hidden) {
  const int c = config.channels, size = c / config.heads;
  for (int h = 0; h < config.heads; ++h) {
    double largest = 0, sum = 0;
    for (int q = h * size; q < (h + 1) * size; ++q) {
      const double product = qkv.bound(q) * qkv.bound(c + q);
      largest = std::max(largest, product);
      sum += product;
    }
    const double factor = fraction_bits.empty() ? std::min(kLargest * kLargest / largest, kLargestSum / sum)
                                                : std::exp2(16 + fraction_bits[h]);
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
    // GELU is larger than -1 and at most its argument or 0.
    hidden[n] = std::exp2(std::floor(std::log2(kLargest / std::max(fc1.bound(n), 1.0))));
    fc1.multiply_output(n, hidden[n]);
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
  const float* table = packer.take(static_cast<size_t>(kTable) * kTable * config.heads);
  Linear proj = packer.linear(c, c);
  const float *gain2 = packer.take(c), *bias2 = packer.take(c);
  Linear fc1 = packer.linear_after(gain2, bias2, c, hidden), fc2 = packer.linear(hidden, c);
  const std::vector<double> fraction_bits =
      integer ? find_fraction_bits(config, qkv, table) : std::vector<double>();
  if (fraction_bits.empty()) {
    layer.position = packer.position(table, config.heads);
  } else {
    layer.position = packer.position_pairs(table, config.heads, fraction_bits);
    layer.fraction_bits = packer.copy(fraction_bits);
  }
  if (integer) {
    std::vector<double> logits(config.heads), scale(hidden);
    fit_integers(config, fraction_bits, qkv, proj, fc1, fc2, logits.data(), scale.data());
    layer.logit_scale = packer.copy(logits);
    layer.gelu = packer.gelu(scale);
    layer.qkv = fraction_bits.empty() ? packer.integer_matrix(std::move(qkv), true)
                                      : packer.upper_matrix(std::move(qkv), 2 * c);
    layer.proj = packer.integer_matrix(std::move(proj), false);
    layer.fc1 = packer.upper_matrix(std::move(fc1), hidden);
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
  // Between pixels and features, and behind the last layer, single precision is kept, not bfloat16: that is where
  // rounding would be seen most.
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
  conv_body = packer.convolution(c, c, outer, kernels.integer);
  conv_up = packer.convolution(c, config.outputs(), outer, kernels.integer);
}

}  // namespace catchlight
