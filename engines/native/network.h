// The whole network: weights, memory and threads, and the order of its passes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "pool.h"
#include "weights.h"

namespace catchlight {

class Network {
 public:
  // weights: config.parameters() floats. Throws std::bad_alloc or std::system_error.
  Network(const Config& config, const float* weights, int threads, const Kernels& kernels);

  // As catchlight_run() in interface.h, for checked arguments. Throws std::bad_alloc.
  void run(const uint8_t* input, int images, int height, int width, uint8_t* output, float* exact);

  const Kernels& kernels() const { return kernels_; }

 private:
  // Maps of one pass over `grid`; they are kept from run to run and grow as needed.
  struct Maps {
    float *frames, *shallow, *deep, *one, *other;
  };

  Maps reserve(const Grid& grid);
  void run_images(const uint8_t* input, Grid grid, int height, int width, uint8_t* output, float* exact);
  template <class Call>
  void each_window(const Grid& grid, const Call& call, void (*kernel)(const Call&, int));
  template <class Call>
  void each_window(const Grid& grid, const Call& call, void (*kernel)(const Call&, int, float*));

  const Config config_;
  const Kernels& kernels_;
  Weights weights_;
  size_t scratch_size_;
  Floats scratch_;  // a part for each thread
  Floats maps_;
  Pool pool_;
};

}  // namespace catchlight
