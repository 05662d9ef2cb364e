// A checkpoint's tensors, folded and laid out as the kernels want them.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace catchlight {

// As SwinIRConfig in engines/config.py.
struct Config {
  int scale, frames, unshuffle, channels, heads, mlp_ratio;
  std::vector<int> depths;

  int inputs() const { return 3 * frames * unshuffle * unshuffle; }
  int outputs() const { return 3 * scale * unshuffle * scale * unshuffle; }
  int hidden() const { return channels * mlp_ratio; }
  // Floats of a checkpoint with this configuration.
  size_t parameters() const;
};

struct Group {
  std::vector<Layer> layers;
  Matrix conv;
};

// Everything points into one allocation.
struct Weights {
  // from: config.parameters() floats in the order of SwinIRConfig.parameter_shapes(). Throws std::bad_alloc.
  Weights(const Config& config, const float* from, const Kernels& kernels);

  Matrix conv_first, conv_body, conv_up;
  Affine patch_norm, norm;
  std::vector<Group> groups;

 private:
  Floats storage_;
};

}  // namespace catchlight
