#include "interface.h"

#include <cmath>
#include <new>
#include <system_error>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "back_projection.h"
#include "network.h"
#include "registration.h"

// Checks what it is given and turns exceptions into codes; the work is in network.cpp, registration.cpp and
// back_projection.cpp.

using catchlight::Config;
using catchlight::Kernels;
using catchlight::Network;

struct catchlight_engine {
  Config config;
  Network network;

  catchlight_engine(const Config& config, const float* weights, int threads, const Kernels& kernels)
      : config(config), network(config, weights, threads, kernels) {}
};

namespace {

constexpr int kMaxSide = 2048, kMaxImages = 65536, kMaxThreads = 64;
constexpr int kMaxFrame = 16384, kMaxMatched = 128;  // the squares of (128 + 8)^2 bytes have a sum below 2^31
constexpr int kMaxStep = 1024;                       // and so have 1024^2 bytes

bool between(int64_t value, int64_t low, int64_t high) { return low <= value && value <= high; }

// The limits of SwinIRConfig, once more: this side must be safe on its own.
bool valid(const catchlight_config& c) {
  if (!(c.scale == 2 || c.scale == 4 || c.scale == 8) || !between(c.frames, 1, 8) || !between(c.unshuffle, 1, 2) ||
      !between(c.embed_dim, 1, 256) || !between(c.heads, 1, c.embed_dim) || c.embed_dim % c.heads != 0 ||
      !between(c.mlp_ratio, 1, 4) || !between(c.groups, 1, 64) || c.depths == nullptr) {
    return false;
  }
  int64_t layers = 0;
  for (int g = 0; g < c.groups; ++g) {
    if (!between(c.depths[g], 1, 64)) return false;
    layers += c.depths[g];
  }
  return layers <= 64;
}

#if defined(__x86_64__)
// Clang 14's __builtin_cpu_supports does not know it. That the system keeps the registers of AVX must be known already.
bool has_avxvnni() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 4 & 1;
}
#endif

// Null where the processor or the build lacks the instruction set. odd: a head has an odd number of channels, so that
// pairs of them would cross from one head into the next. fine: the network's grid is that of the pixels; bfloat16 takes
// such networks further than 1/255 from themselves (benchmarks/native.md), so that it must be asked for, and 16-bit
// integers serve, which are as fast as single precision in longer vectors or faster.
const Kernels* find_kernels(int32_t instructions, bool odd, bool fine) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  const bool vnni = avx2 && &catchlight::kKernelsAvxVnniInt16 != nullptr && has_avxvnni();
  if (bf16 && fine && !odd && instructions == CATCHLIGHT_AUTO) {
    instructions = vnni ? CATCHLIGHT_AVXVNNIINT16 : CATCHLIGHT_AVX2INT16;
  }
  if (bf16 && (instructions == CATCHLIGHT_AVX512BF16 || instructions == CATCHLIGHT_AUTO)) {
    return odd ? &catchlight::kKernelsAvx512 : &catchlight::kKernelsAvx512Bf16;
  }
  if (avx512 && (instructions == CATCHLIGHT_AVX512 || instructions == CATCHLIGHT_AUTO)) {
    return &catchlight::kKernelsAvx512;
  }
  if (vnni && (instructions == CATCHLIGHT_AVXVNNIINT16 || instructions == CATCHLIGHT_AUTO)) {
    return odd ? &catchlight::kKernelsAvx2 : &catchlight::kKernelsAvxVnniInt16;
  }
  if (avx2 && (instructions == CATCHLIGHT_AVX2INT16 || instructions == CATCHLIGHT_AUTO)) {
    return odd ? &catchlight::kKernelsAvx2 : &catchlight::kKernelsAvx2Int16;
  }
  if (avx2 && (instructions == CATCHLIGHT_AVX2 || instructions == CATCHLIGHT_AUTO)) return &catchlight::kKernelsAvx2;
#endif
  if (instructions == CATCHLIGHT_PORTABLE || instructions == CATCHLIGHT_AUTO) return &catchlight::kKernelsPortable;
  return nullptr;
}

// Runs f and turns what it throws into a status.
template <class F>
int32_t guarded(F f) noexcept {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return CATCHLIGHT_OUT_OF_MEMORY;
  } catch (const std::system_error&) {
    return CATCHLIGHT_NO_THREADS;
  } catch (...) {
    return CATCHLIGHT_FAILED;
  }
}

}  // namespace

int32_t catchlight_interface(void) { return CATCHLIGHT_INTERFACE; }

int32_t catchlight_supports(int32_t instructions) { return find_kernels(instructions, false, false) != nullptr; }

int32_t catchlight_create(const catchlight_config* config, const float* weights, size_t count, int32_t threads,
                          int32_t instructions, catchlight_engine** engine) {
  if (config == nullptr || weights == nullptr || engine == nullptr || !valid(*config) ||
      !between(threads, 1, kMaxThreads) || !between(instructions, CATCHLIGHT_AUTO, CATCHLIGHT_AVXVNNIINT16)) {
    return CATCHLIGHT_BAD_ARGUMENT;
  }
  const Kernels* kernels = find_kernels(instructions, config->embed_dim / config->heads % 2 != 0, config->unshuffle == 1);
  if (kernels == nullptr) return CATCHLIGHT_NO_INSTRUCTIONS;
  return guarded([&]() -> int32_t {
    const Config checked = {config->scale, config->frames,    config->unshuffle, config->embed_dim,
                            config->heads, config->mlp_ratio, {config->depths, config->depths + config->groups}};
    if (count != checked.parameters()) return CATCHLIGHT_BAD_ARGUMENT;
    *engine = new catchlight_engine(checked, weights, threads, *kernels);
    return CATCHLIGHT_OK;
  });
}

int32_t catchlight_run(catchlight_engine* engine, const uint8_t* input, int32_t images, int32_t height, int32_t width,
                       uint8_t* output, float* exact) {
  if (engine == nullptr || input == nullptr || output == nullptr || !between(images, 1, kMaxImages) ||
      !between(height, 1, kMaxSide) || !between(width, 1, kMaxSide)) {
    return CATCHLIGHT_BAD_ARGUMENT;
  }
  return guarded([&]() -> int32_t {
    engine->network.run(input, images, height, width, output, exact);
    return CATCHLIGHT_OK;
  });
}

const char* catchlight_name(const catchlight_engine* engine) { return engine ? engine->network.kernels().name : ""; }

void catchlight_destroy(catchlight_engine* engine) { delete engine; }

int32_t catchlight_displacements(const uint8_t* newer, const uint8_t* older, int32_t height, int32_t width,
                                 const int32_t* windows, int32_t count, int32_t step, double* moved) {
  if (newer == nullptr || older == nullptr || windows == nullptr || moved == nullptr ||
      !between(height, 1, kMaxFrame) || !between(width, 1, kMaxFrame) || !between(count, 0, kMaxImages) ||
      !between(step, 1, kMaxStep)) {
    return CATCHLIGHT_BAD_ARGUMENT;
  }
  return guarded([&]() -> int32_t {
    for (int i = 0; i < count; ++i) {
      const int32_t* window = windows + 4 * i;
      double* place = moved + 2 * i;
      for (int axis = 0; axis < 2; ++axis) {
        if (!between(window[axis], -kMaxFrame, kMaxFrame) || !between(window[2 + axis] / step, 3, kMaxMatched) ||
            !(place[axis] >= -kMaxFrame && place[axis] <= kMaxFrame)) {
          return CATCHLIGHT_BAD_ARGUMENT;
        }
      }
      catchlight::find_displacement({newer, height, width}, {older, height, width},
                                    {window[0], window[1], window[2], window[3]}, step, place);
    }
    return CATCHLIGHT_OK;
  });
}

int32_t catchlight_back_project(const uint8_t* input, int32_t images, int32_t height, int32_t width, int32_t frames,
                                int32_t scale, float mistake, float noise, uint8_t* enhanced) {
  if (input == nullptr || enhanced == nullptr || !between(images, 1, kMaxImages) || !between(height, 1, kMaxSide) ||
      !between(width, 1, kMaxSide) || !between(frames, 1, 8) || !(scale == 2 || scale == 4 || scale == 8) ||
      !std::isfinite(mistake) || !std::isfinite(noise) || noise <= mistake) {
    return CATCHLIGHT_BAD_ARGUMENT;
  }
  return guarded([&]() -> int32_t {
    const size_t pixels = static_cast<size_t>(height) * width;
    for (int n = 0; n < images; ++n) {
      catchlight::back_project(input + n * pixels * 3 * frames, height, width, 3 * frames, scale, mistake, noise,
                               enhanced + n * pixels * 3 * scale * scale);
    }
    return CATCHLIGHT_OK;
  });
}
