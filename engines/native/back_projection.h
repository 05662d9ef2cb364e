// Where a picture has no noise, what the camera measured stands: engines/back_projection.py says how, and is the
// reference.
#pragma once

#include <cstdint>

namespace catchlight {

// One picture. frame: (height, width, channels), of which the first three count; enhanced: (height * scale, width *
// scale, 3), corrected in place. mistake, noise: MISTAKE_LEVELS and NOISE_LEVELS. Throws std::bad_alloc.
void back_project(const uint8_t* frame, int height, int width, int channels, int scale, float mistake, float noise,
                  uint8_t* enhanced);

}  // namespace catchlight
