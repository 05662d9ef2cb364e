// Exercises the native library under sanitizers (`make sanitize`): every instruction set that runs here, many networks,
// shapes and numbers of threads, wrong arguments, and results that must not depend on any of it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../../engines/native/interface.h"
#include "../../engines/native/weights.h"
#include "native_check.h"

namespace {

struct Shape {
  int images, height, width;
};

std::mt19937 generator(1);

std::vector<float> random_weights(size_t count, float deviation = 0.1f) {
  std::normal_distribution<float> normal(0.f, deviation);
  std::vector<float> weights(count);
  for (float& weight : weights) weight = normal(generator);
  return weights;
}

catchlight_engine* create(const catchlight::Config& config, const std::vector<float>& weights, int threads,
                          int instructions) {
  const catchlight_config plain = {config.scale,
                                   config.frames,
                                   config.unshuffle,
                                   config.channels,
                                   config.heads,
                                   config.mlp_ratio,
                                   static_cast<int32_t>(config.depths.size()),
                                   config.depths.data()};
  catchlight_engine* engine = nullptr;
  CHECK(catchlight_create(&plain, weights.data(), weights.size(), threads, instructions, &engine) == CATCHLIGHT_OK);
  return engine;
}

// Exactly as large as they must be, so that one byte too many is seen.
std::vector<float> run(catchlight_engine* engine, const catchlight::Config& config, Shape shape) {
  const size_t pixels = static_cast<size_t>(shape.images) * shape.height * shape.width;
  std::vector<uint8_t> input(pixels * 3 * config.frames), output(pixels * 3 * config.scale * config.scale);
  std::vector<float> exact(output.size());
  std::mt19937 noise(7);
  for (uint8_t& value : input) value = static_cast<uint8_t>(noise());
  CHECK(catchlight_run(engine, input.data(), shape.images, shape.height, shape.width, output.data(), exact.data()) ==
        CATCHLIGHT_OK);
  CHECK(catchlight_run(engine, input.data(), shape.images, shape.height, shape.width, output.data(), nullptr) ==
        CATCHLIGHT_OK);
  return exact;
}

void compare(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
  CHECK(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::fabs(a[i] - b[i]) <= tolerance * (1.f + std::fabs(b[i])));
}

// of_integers: the tolerance of 16-bit integers.
void exercise(const catchlight::Config& config, float deviation = 0.1f, float of_integers = 2e-3f) {
  const std::vector<float> weights = random_weights(config.parameters(), deviation);
  for (const Shape shape : {Shape{1, 1, 1}, {2, 16, 24}, {3, 9, 17}, {1, 40, 8}}) {
    std::vector<float> expected, integers;
    for (int instructions : {CATCHLIGHT_PORTABLE, CATCHLIGHT_AVX2, CATCHLIGHT_AVX512, CATCHLIGHT_AVX512BF16,
                             CATCHLIGHT_AVX2INT16, CATCHLIGHT_AVXVNNIINT16}) {
      if (!catchlight_supports(instructions)) continue;
      const float tolerance = instructions == CATCHLIGHT_AVX512BF16     ? 1e-2f
                              : instructions == CATCHLIGHT_AVX2INT16    ? of_integers
                              : instructions == CATCHLIGHT_AVXVNNIINT16 ? of_integers
                                                                        : 1e-3f;
      for (int threads : {1, 3}) {
        catchlight_engine* engine = create(config, weights, threads, instructions);
        const std::vector<float> exact = run(engine, config, shape);
        if (expected.empty()) expected = exact;
        compare(exact, expected, tolerance);
        if (instructions == CATCHLIGHT_AVX2INT16) integers = exact;
        if (instructions == CATCHLIGHT_AVXVNNIINT16) CHECK(exact == integers);
        run(engine, config, {1, 8, 8});
        compare(run(engine, config, shape), expected, tolerance);
        catchlight_destroy(engine);
      }
    }
  }
}

// Frames exactly as large as they must be, and windows inside, across each edge and far outside.
void follow() {
  const int height = 60, width = 80;
  std::vector<uint8_t> newer(height * width * 3), older(newer.size());
  std::mt19937 noise(3);
  for (uint8_t& value : newer) value = static_cast<uint8_t>(noise());
  std::copy_n(newer.begin(), newer.size() - 6, older.begin() + 6);  // two pixels to the right
  const std::vector<int32_t> windows = {10, 9,   32, 24, -9, -7,  32, 24, 60, 50, 32, 24,
                                        -90, 200, 32, 24, 0,  0, 80, 60, 7,  7, 3,  3};
  const int count = static_cast<int>(windows.size()) / 4;
  for (int step : {1, 2, 7}) {
    std::vector<double> moved(2 * count, 0.0);
    const int few = step == 1 ? count : count - 1;  // the last is too small for steps
    CHECK(catchlight_displacements(newer.data(), older.data(), height, width, windows.data(), few, step,
                                   moved.data()) == CATCHLIGHT_OK);
    if (step == 1) CHECK(std::fabs(moved[0] - 2) < 0.1 && std::fabs(moved[1]) < 0.1);
    for (double value : moved) CHECK(std::fabs(value) <= 4.5 * step);
  }
  std::vector<double> far = {NAN, 0};
  CHECK(catchlight_displacements(newer.data(), older.data(), height, width, windows.data(), 1, 1, far.data()) ==
        CATCHLIGHT_BAD_ARGUMENT);
  far = {1e9, 0};
  CHECK(catchlight_displacements(newer.data(), older.data(), height, width, windows.data(), 1, 1, far.data()) ==
        CATCHLIGHT_BAD_ARGUMENT);
}

// Buffers exactly as large as they must be, at every scale.
void back_project() {
  const int images = 2, height = 5, width = 7, frames = 3;
  for (int scale : {2, 4, 8}) {
    std::vector<uint8_t> input(images * height * width * 3 * frames, 100), enhanced;
    enhanced.assign(static_cast<size_t>(images) * height * width * 3 * scale * scale, 101);
    CHECK(catchlight_back_project(input.data(), images, height, width, frames, scale, 1.4f, 2.f, enhanced.data()) ==
          CATCHLIGHT_OK);
    for (uint8_t value : enhanced) CHECK(value == 100);
  }
}

// Attention is in integers altogether only where its bound leaves enough bits.
void choose_attention() {
#if defined(__x86_64__)
  const catchlight::Config config = {2, 1, 1, 16, 2, 2, {2}};
  std::vector<float> weights = random_weights(config.parameters());
  const auto in_integers = [&](const catchlight::Kernels& kernels) {
    return catchlight::Weights(config, weights.data(), kernels).groups[0].layers[1].fraction_bits != nullptr;
  };
  CHECK(in_integers(catchlight::kKernelsAvx2Int16));
  CHECK(!in_integers(catchlight::kKernelsAvx2));
  for (float& weight : weights) weight *= 10;
  CHECK(!in_integers(catchlight::kKernelsAvx2Int16));
#endif
}

void refuse() {
  const int32_t depth = 1;
  catchlight_config config = {2, 1, 1, 16, 2, 2, 1, &depth};
  const std::vector<float> weights(100);
  catchlight_engine* engine = nullptr;
  CHECK(catchlight_create(&config, weights.data(), weights.size(), 1, 0, &engine) == CATCHLIGHT_BAD_ARGUMENT);
  config.embed_dim = 1 << 30;
  CHECK(catchlight_create(&config, weights.data(), weights.size(), 1, 0, &engine) == CATCHLIGHT_BAD_ARGUMENT);
  CHECK(catchlight_create(nullptr, nullptr, 0, 0, 0, nullptr) == CATCHLIGHT_BAD_ARGUMENT);
  CHECK(catchlight_run(nullptr, nullptr, 1, 1, 1, nullptr, nullptr) == CATCHLIGHT_BAD_ARGUMENT);
  CHECK(engine == nullptr);
  catchlight_destroy(nullptr);
}

}  // namespace

int main() {
  refuse();
  choose_attention();
  follow();
  back_project();
  exercise({2, 1, 1, 16, 2, 2, {2, 2}});
  exercise({2, 1, 1, 16, 2, 2, {2}}, 1.f, 0.2f);  // logits that need softmax in floats
  exercise({2, 3, 2, 24, 2, 2, {2}});
  exercise({4, 2, 1, 7, 7, 1, {1, 3}});
  exercise({8, 1, 2, 20, 1, 4, {2}});
  std::puts("native library: no fault found");
}
