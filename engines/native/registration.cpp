#include "registration.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace catchlight {
namespace {

constexpr int kSearch = 4, kPlaces = 2 * kSearch + 1, kBlocks = 3;
constexpr double kLeast = 3e-3, kAway = 0.05;
constexpr int kTogether = 8;  // products of 16-bit numbers that a vector holds

// The green channel of a window at 1 / step of its size. Rows lie `stride` apart, and kTogether numbers after the last
// one may be read.
struct Green {
  int height, width, stride;
  std::vector<int16_t> values;

  Green(Picture picture, Window window, int step)
      : height(window.height / step), width(window.width / step), stride(width), values(stride * height + kTogether) {
    const auto column = [&](int x) { return std::clamp(window.x + x, 0, picture.width - 1) * 3 + 1; };
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        int sum = step * step / 2;
        for (int i = 0; i < step; ++i) {
          const int row = std::clamp(window.y + y * step + i, 0, picture.height - 1);
          const uint8_t* pixels = picture.pixels + (size_t)row * picture.width * 3;
          for (int j = 0; j < step; ++j) sum += pixels[column(x * step + j)];
        }
        values[y * stride + x] = (int16_t)(sum / (step * step));
      }
    }
  }
};

// Sums of x and x^2 over all that lies above and to the left.
struct SummedAreas {
  int stride;
  std::vector<int32_t> sums, squares;

  explicit SummedAreas(const Green& green)
      : stride(green.width + 1), sums(stride * (green.height + 1)), squares(sums.size()) {
    for (int y = 0; y < green.height; ++y) {
      int32_t sum = 0, square = 0;
      for (int x = 0; x < green.width; ++x) {
        const int32_t value = green.values[y * green.stride + x];
        const int above = y * stride + x + 1;
        sum += value, square += value * value;
        sums[above + stride] = sums[above] + sum;
        squares[above + stride] = squares[above] + square;
      }
    }
  }

  // Mean and variance of a piece.
  void moments(int y, int x, int height, int width, double& mean, double& variance) const {
    const int corner = y * stride + x, below = corner + height * stride;
    const auto over = [=](const std::vector<int32_t>& of) {
      return (double)(of[below + width] - of[below] - of[corner + width] + of[corner]) / (height * width);
    };
    mean = over(sums);
    variance = over(squares) - mean * mean;
  }
};

using Shares = double[kBlocks * kBlocks][kPlaces][kPlaces];

// Of each block's variance at each place: what the other picture does not explain.
void find_unexplained(const Green& patch, const Green& area, Shares& shares) {
  const SummedAreas of_patch(patch), of_area(area);
  const int height = patch.height / kBlocks, width = patch.width / kBlocks;
  const int padded = (width + kTogether - 1) / kTogether * kTogether;
  std::vector<int16_t> block(height * padded);  // zeros at the end of its rows
  for (int n = 0; n < kBlocks * kBlocks; ++n) {
    const int top = n / kBlocks * height, left = n % kBlocks * width;
    for (int row = 0; row < height; ++row) {
      std::copy_n(patch.values.begin() + (top + row) * patch.stride + left, width, block.begin() + row * padded);
    }
    double mean, variance;
    of_patch.moments(top, left, height, width, mean, variance);
    for (int place = 0; place < kPlaces * kPlaces; ++place) {
      const int y = place / kPlaces, x = place % kPlaces;
      int32_t products = 0;
      for (int row = 0; row < height; ++row) {
        const int16_t* a = block.data() + row * padded;
        const int16_t* b = area.values.data() + (top + y + row) * area.stride + left + x;
        for (int column = 0; column < padded; ++column) products += a[column] * b[column];
      }
      double there, spread;
      of_area.moments(top + y, left + x, height, width, there, spread);
      const double together = (double)products / (height * width) - mean * there;
      const double both = variance * spread;
      const double explained = both > 1e-6 && together > 0 ? together * together / both : 0;
      shares[n][y][x] = std::max(1 - explained, kLeast);
    }
  }
}

// The vertex of a parabola through three values, the middle one's place being 0.
double vertex(double before, double here, double after) {
  const double bend = before - 2 * here + after;
  return bend > 0 ? std::clamp(0.5 * (before - after) / bend, -0.5, 0.5) : 0;
}

}  // namespace

void find_displacement(Picture newer, Picture older, Window window, int step, double* moved) {
  const int margin = kSearch * step;
  const Window around = {window.x + (int)moved[0] - margin, window.y + (int)moved[1] - margin,
                         window.width + 2 * margin, window.height + 2 * margin};
  Shares shares;
  find_unexplained({newer, window, step}, {older, around, step}, shares);

  double away[kPlaces];
  for (int i = 0; i < kPlaces; ++i) away[i] = std::exp(kAway * (i - kSearch) * (i - kSearch));
  double least = HUGE_VAL;
  int row = kSearch, column = kSearch;
  for (int y = 0; y < kPlaces; ++y) {
    for (int x = 0; x < kPlaces; ++x) {
      double product = away[x] * away[y];  // with nine shares of at least kLeast: no underflow
      for (const auto& share : shares) product *= share[y][x];
      if (product < least) least = product, row = y, column = x;
    }
  }
  const auto curve = [&](int y, int x) {
    double sum = 0;
    for (const auto& share : shares) sum += share[y][x] / share[row][column];
    return sum;
  };
  const bool inside_x = 0 < column && column < kPlaces - 1, inside_y = 0 < row && row < kPlaces - 1;
  const double here = curve(row, column);
  const double x = inside_x ? vertex(curve(row, column - 1), here, curve(row, column + 1)) : 0;
  const double y = inside_y ? vertex(curve(row - 1, column), here, curve(row + 1, column)) : 0;
  moved[0] += step * (column + x - kSearch);
  moved[1] += step * (row + y - kSearch);
}

}  // namespace catchlight
