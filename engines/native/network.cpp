#include "network.h"

#include <algorithm>
#include <utility>

#include "subnormals.h"

namespace catchlight {
namespace {

// Windows for each thread that make a pass worth while: images are taken together until there are as many, and no
// further, so that the maps stay in the cache.
constexpr int kWindowsPerThread = 8;

// The most that a kernel uses: a layer; a convolution; or the last convolution with its result.
size_t scratch_floats(const Config& config) {
  const size_t c = config.channels, widest = std::max(3 * config.channels, config.hidden());
  const size_t layer = (c + widest + kTokens) * kTokens;
  const size_t inputs = std::max(config.channels, config.inputs()), outputs = config.outputs();
  return std::max(layer, inputs * (kHalo + kTokens) + std::max(c, outputs) * kHalo + outputs * kTokens);
}

int windows_of(const Grid& grid) { return grid.images * grid.rows * grid.columns; }

}  // namespace

Network::Network(const Config& config, const float* weights, int threads, const Kernels& kernels)
    : config_(config),
      kernels_(kernels),
      weights_(config, weights, kernels),
      scratch_size_(scratch_floats(config)),
      scratch_(scratch_size_ * threads),
      pool_(threads) {}

Network::Maps Network::reserve(const Grid& grid) {
  const size_t plane = static_cast<size_t>(windows_of(grid)) * kTokens;
  const size_t frames = plane * config_.inputs(), body = plane * config_.channels;
  if (maps_.size() < frames + 4 * body) {
    maps_ = Floats();  // first, so that both never exist together
    maps_ = Floats(frames + 4 * body);
  }
  float* start = maps_.data();
  return {start, start + frames, start + frames + body, start + frames + 2 * body, start + frames + 3 * body};
}

void Network::run(const uint8_t* input, int images, int height, int width, uint8_t* output, float* exact) {
  const int side = kWindow * config_.unshuffle;
  const int rows = (height + side - 1) / side, columns = (width + side - 1) / side;
  const int wanted = kWindowsPerThread * pool_.threads();
  const int together = std::min(images, (wanted + rows * columns - 1) / (rows * columns));
  const size_t input_size = static_cast<size_t>(height) * width * 3 * config_.frames;
  const size_t output_size = static_cast<size_t>(height) * width * 3 * config_.scale * config_.scale;
  for (int first = 0; first < images; first += together) {
    const Grid grid = {std::min(together, images - first), rows, columns};
    run_images(input + first * input_size, grid, height, width, output + first * output_size,
               exact ? exact + first * output_size : nullptr);
  }
}

template <class Call>
void Network::each_window(const Grid& grid, const Call& call, void (*kernel)(const Call&, int)) {
  using Work = std::pair<const Call&, void (*)(const Call&, int)>;
  const Work work(call, kernel);
  pool_.run(
      windows_of(grid),
      [](const void* context, int window, int) {
        [[maybe_unused]] const SubnormalsAreZero within;
        const Work& work = *static_cast<const Work*>(context);
        work.second(work.first, window);
      },
      &work);
}

template <class Call>
void Network::each_window(const Grid& grid, const Call& call, void (*kernel)(const Call&, int, float*)) {
  struct Work {
    const Call& call;
    void (*kernel)(const Call&, int, float*);
    float* scratch;
    size_t scratch_size;
  };
  const Work work = {call, kernel, scratch_.data(), scratch_size_};
  pool_.run(
      windows_of(grid),
      [](const void* context, int window, int thread) {
        [[maybe_unused]] const SubnormalsAreZero within;
        const Work& work = *static_cast<const Work*>(context);
        work.kernel(work.call, window, work.scratch + thread * work.scratch_size);
      },
      &work);
}

void Network::run_images(const uint8_t* input, Grid grid, int height, int width, uint8_t* output, float* exact) {
  const int c = config_.channels, fold = config_.unshuffle, channels = 3 * config_.frames;
  const auto [frames, shallow, deep, one, other] = reserve(grid);

  each_window(grid, Reading{input, height, width, channels, fold, grid, frames}, kernels_.read);
  each_window(grid, Convolution{weights_.conv_first, grid, frames, nullptr, shallow, weights_.patch_norm, deep},
              kernels_.convolve);

  const float* body = nullptr;
  for (const Group& group : weights_.groups) {
    const float* from = deep;
    float *to = one, *spare = other;
    bool shifted = false;
    for (const Layer& layer : group.layers) {
      each_window(grid, LayerCall{&layer, grid, from, shifted, to}, kernels_.layer);
      from = to;
      std::swap(to, spare);
      shifted = layer.shifted;
    }
    if (shifted) {
      each_window(grid, Realigning{c, grid, from, to}, kernels_.realign);
      from = to;
      std::swap(to, spare);
    }
    const bool last = &group == &weights_.groups.back();
    each_window(grid, Convolution{group.conv, grid, from, deep, deep, weights_.norm, last ? to : nullptr},
                kernels_.convolve);
    body = to;
  }

  each_window(grid, Convolution{weights_.conv_body, grid, body, shallow, shallow, {}, nullptr}, kernels_.convolve);
  each_window(grid,
              Writing{weights_.conv_up, grid, shallow, input, height, width, channels, fold, config_.scale, output,
                      exact},
              kernels_.write);
}

}  // namespace catchlight
