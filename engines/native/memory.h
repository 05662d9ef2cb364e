// Float storage for vectors: aligned to a cache line, freed by itself.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace catchlight {

class Floats {
 public:
  Floats() = default;
  // Not initialised. Throws std::bad_alloc.
  explicit Floats(size_t count)
      : data_(static_cast<float*>(::operator new(count * sizeof(float), kAlignment))), count_(count) {}

  float* data() const { return data_.get(); }
  size_t size() const { return count_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(float* data) const { ::operator delete(data, kAlignment); }
  };
  std::unique_ptr<float, Free> data_;
  size_t count_ = 0;
};

}  // namespace catchlight
