#include "back_projection.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace catchlight {

void back_project(const uint8_t* frame, int height, int width, int channels, int scale, float mistake, float noise,
                  uint8_t* enhanced) {
  const int length = 3 * width, wide = length * scale, block = scale * scale;
  std::vector<int16_t> differences(static_cast<size_t>(height) * length), line(wide);

  // What a pixel differs by from the mean of what it became, times `block`.
  int64_t squares = 0;
  for (int y = 0; y < height; ++y) {
    const uint8_t* row = enhanced + static_cast<size_t>(y) * scale * wide;
    for (int i = 0; i < wide; ++i) line[i] = row[i];
    for (int k = 1; k < scale; ++k) {
      row += wide;
      for (int i = 0; i < wide; ++i) line[i] = static_cast<int16_t>(line[i] + row[i]);
    }
    const uint8_t* pixel = frame + static_cast<size_t>(y) * width * channels;
    int16_t* to = differences.data() + static_cast<size_t>(y) * length;
    for (int x = 0; x < width; ++x, pixel += channels, to += 3) {
      for (int c = 0; c < 3; ++c) {
        int difference = pixel[c] * block;
        for (int k = 0; k < scale; ++k) difference -= line[(x * scale + k) * 3 + c];
        to[c] = static_cast<int16_t>(difference);
        squares += static_cast<int64_t>(difference) * difference;
      }
    }
  }

  const float mean_square = static_cast<float>(static_cast<double>(squares) / static_cast<double>(differences.size()));
  const float rms = std::sqrt(mean_square) / static_cast<float>(block);
  const float share = std::min((noise - rms) / (noise - mistake), 1.f);
  if (share <= 0) return;
  const float levels = share / static_cast<float>(block);

  for (int y = 0; y < height; ++y) {
    const int16_t* from = differences.data() + static_cast<size_t>(y) * length;
    for (int x = 0; x < width; ++x, from += 3) {
      for (int c = 0; c < 3; ++c) {
        const int16_t correction = static_cast<int16_t>(std::lrint(static_cast<float>(from[c]) * levels));
        for (int k = 0; k < scale; ++k) line[(x * scale + k) * 3 + c] = correction;
      }
    }
    uint8_t* row = enhanced + static_cast<size_t>(y) * scale * wide;
    for (int k = 0; k < scale; ++k, row += wide) {
      for (int i = 0; i < wide; ++i) row[i] = static_cast<uint8_t>(std::clamp(row[i] + line[i], 0, 255));
    }
  }
}

}  // namespace catchlight
