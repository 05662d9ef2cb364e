// Threads that share the windows of one pass.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <sys/types.h>

#if defined(__linux__)
#include <sched.h>
#endif

namespace catchlight {

// A counter that can be waited on: for a short spin first, since passes follow each other within microseconds, then
// asleep, since the cores belong to others too.
class Signal {
 public:
  uint32_t now() const { return value_.load(std::memory_order_acquire); }
  void raise();
  // Returns once now() differs from `seen`.
  void wait(uint32_t seen);

 private:
  std::atomic<uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Runs tasks on the calling thread and on workers. Each thread begins with a range of its own, so that it meets the
// same windows pass after pass, and takes from others' when that is done. A worker that the system does not let run
// holds nobody up: the others do its share.
class Pool {
 public:
  using Task = void (*)(const void* context, int item, int thread);

  // threads counts the caller. Throws std::system_error when a thread cannot be started.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // task(context, item, thread) for every item below `items`; returns when all are done.
  void run(int items, Task task, const void* context);

 private:
  // Pass number (high half) and items left (low half): taking an item is one compare-and-swap, which fails if the
  // pass has ended meanwhile. Only the owner of an item may read the job, which cannot change while items are open.
  struct alignas(64) Range {
    std::atomic<uint64_t> ticket{0};
    int first = 0;
  };

  void serve(int thread);
  void work(int thread);
  void stop();
  void keep_apart();

  const int threads_;
  std::unique_ptr<Range[]> ranges_;
  std::vector<std::thread> workers_;
  Task task_ = nullptr;
  const void* context_ = nullptr;
  int items_ = 0;
  uint32_t pass_ = 0;
  const pid_t process_;  // that has the workers: a forked one has none
#if defined(__linux__)
  cpu_set_t cores_;        // that the pool was made with
  int callers_core_ = -1;  // where workers do not run
#endif
  alignas(64) std::atomic<int> done_{0};
  std::atomic<bool> stopping_{false};
  Signal started_, finished_;
};

}  // namespace catchlight
