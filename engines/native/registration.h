// How far what a window shows has moved between two frames: engines/registration.py says how, and is the reference.
#pragma once

#include <cstdint>

namespace catchlight {

struct Picture {
  const uint8_t* pixels;  // (height, width, 3)
  int height, width;
};

struct Window {
  int x, y, width, height;  // it may reach outside of a picture, where its edge is replicated
};

// moved: x and y in whole pixels about which is looked; from it, what to add to the window's x and y. The window is
// matched at 1 / step of its size.
void find_displacement(Picture newer, Picture older, Window window, int step, double* moved);

}  // namespace catchlight
