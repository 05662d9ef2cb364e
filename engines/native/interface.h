// The plain C interface of the library: everything that Python may call.
//
// A function that can fail returns a catchlight_status; none throws, aborts or prints. An engine serves one caller at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Raised whenever a signature or a structure below changes.
#define CATCHLIGHT_INTERFACE 3

#define CATCHLIGHT_EXPORT __attribute__((visibility("default")))

typedef enum {
  CATCHLIGHT_OK = 0,
  CATCHLIGHT_BAD_ARGUMENT = 1,
  CATCHLIGHT_OUT_OF_MEMORY = 2,
  CATCHLIGHT_NO_INSTRUCTIONS = 3,  // this processor lacks the instruction set that was asked for
  CATCHLIGHT_NO_THREADS = 4,       // the system refused to start a thread
  CATCHLIGHT_FAILED = 5,
} catchlight_status;

typedef enum {
  CATCHLIGHT_AUTO = 0,  // the fastest that this processor has
  CATCHLIGHT_PORTABLE = 1,
  CATCHLIGHT_AVX2 = 2,
  CATCHLIGHT_AVX512 = 3,
  CATCHLIGHT_AVX512BF16 = 4,  // factors of products in bfloat16, where a head has an even number of channels
  CATCHLIGHT_AVX2INT16 = 5,   // factors of products as 16-bit integers, under the same condition
  CATCHLIGHT_AVXVNNIINT16 = 6,  // the same numbers, with AVX-VNNI's products of them
} catchlight_instructions;

// As SwinIRConfig in engines/config.py; the window is always 8.
typedef struct {
  int32_t scale, frames, unshuffle, embed_dim, heads, mlp_ratio, groups;
  const int32_t* depths;  // one for each group
} catchlight_config;

typedef struct catchlight_engine catchlight_engine;

CATCHLIGHT_EXPORT int32_t catchlight_interface(void);

// 1 where this processor can run the instruction set, else 0.
CATCHLIGHT_EXPORT int32_t catchlight_supports(int32_t instructions);

// Builds an engine. weights: every tensor of a checkpoint, float32, C order, one after the other in the order of
// SwinIRConfig.parameter_shapes(); count: how many floats. Nothing is kept of the arguments. threads: 1 to 64.
CATCHLIGHT_EXPORT int32_t catchlight_create(const catchlight_config* config, const float* weights, size_t count,
                                            int32_t threads, int32_t instructions, catchlight_engine** engine);

// Enhances a batch. input: uint8 (images, height, width, 3*frames), BGR, newest frame first; output: uint8
// (images, height*scale, width*scale, 3). exact: null, or float (images, height*scale, width*scale, 3) that takes the
// same values before they are clamped and rounded, in [0, 1]; for tests.
CATCHLIGHT_EXPORT int32_t catchlight_run(catchlight_engine* engine, const uint8_t* input, int32_t images,
                                         int32_t height, int32_t width, uint8_t* output, float* exact);

// The instruction set that the engine runs: "avx512bf16", "avx512", "avxvnniint16", "avx2int16", "avx2" or "portable".
CATCHLIGHT_EXPORT const char* catchlight_name(const catchlight_engine* engine);

// Joins the threads and frees everything; null is harmless.
CATCHLIGHT_EXPORT void catchlight_destroy(catchlight_engine* engine);

// How far what windows show has moved from a newer frame to an older one, both uint8 (height, width, 3); as
// displacements() in engines/registration.py. windows: (count, 4), x, y, width and height; outside the frame its edge
// goes on. step: each is matched at 1 / step of its size, which must be 3 to 128 along each side. moved:
// (count, 2), x and y in whole pixels about which is looked; receives what to add to a window's x and y.
CATCHLIGHT_EXPORT int32_t catchlight_displacements(const uint8_t* newer, const uint8_t* older, int32_t height,
                                                   int32_t width, const int32_t* windows, int32_t count, int32_t step,
                                                   double* moved);

// Back-projects what an engine made of a batch, in place; as back_project() in engines/back_projection.py. input: uint8
// (images, height, width, 3*frames); enhanced: uint8 (images, height*scale, width*scale, 3); mistake, noise: in grey
// levels, the second the larger.
CATCHLIGHT_EXPORT int32_t catchlight_back_project(const uint8_t* input, int32_t images, int32_t height, int32_t width,
                                                  int32_t frames, int32_t scale, float mistake, float noise,
                                                  uint8_t* enhanced);

#ifdef __cplusplus
}
#endif
