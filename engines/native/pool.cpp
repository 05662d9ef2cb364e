#include "pool.h"

#include <unistd.h>

#if defined(__linux__)
#include <pthread.h>
#endif

namespace catchlight {
namespace {

// Some 50 microseconds on AMD's processors and 120 on Intel's, whose pauses are longer: about as long as a window takes,
// which is what threads wait for each other, and too short for others to notice.
constexpr int kSpins = 3000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Signal::raise() {
  value_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  // A sleeper holds the mutex from its last look at the value until it sleeps, so it cannot miss this.
  { std::lock_guard<std::mutex> lock(mutex_); }
  changed_.notify_all();
}

void Signal::wait(uint32_t seen) {
  for (int i = 0; i < kSpins; ++i, relax()) {
    if (now() != seen) return;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  changed_.wait(lock, [&] { return value_.load(std::memory_order_seq_cst) != seen; });
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

Pool::Pool(int threads) : threads_(threads), ranges_(new Range[threads]), process_(getpid()) {
#if defined(__linux__)
  CPU_ZERO(&cores_);
  sched_getaffinity(0, sizeof cores_, &cores_);  // left empty where it fails, and an empty set is refused below
#endif
  workers_.reserve(threads - 1);
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  stopping_.store(true);
  started_.raise();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::serve(int thread) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "catchlight");
#endif
  for (uint32_t seen = 0; !stopping_.load(); seen = started_.now()) {
    work(thread);
    // Whatever began before `seen` was read above has been offered by work(); what begins after it ends this wait.
    started_.wait(seen);
  }
}

void Pool::work(int thread) {
  for (int i = 0; i < threads_; ++i) {
    Range& range = ranges_[(thread + i) % threads_];
    uint64_t ticket = range.ticket.load(std::memory_order_acquire);
    while (static_cast<uint32_t>(ticket) != 0) {
      if (!range.ticket.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
      task_(context_, range.first + static_cast<int>(static_cast<uint32_t>(ticket)) - 1, thread);
      const int items = items_;  // read while an item is open: afterwards the job may change
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == items) finished_.raise();
      ticket = range.ticket.load(std::memory_order_acquire);
    }
  }
}

// A virtual machine's Linux takes a core that sleeps for one that its host has taken away, and wakes a worker on the
// core of the thread that woke it, where it waits for as long as that one works: two threads then take as long as one.
// So workers stay off the caller's core, where there are others.
void Pool::keep_apart() {
#if defined(__linux__)
  const int here = sched_getcpu();
  if (here == callers_core_) return;
  callers_core_ = here;
  cpu_set_t others = cores_;
  if (here >= 0 && CPU_COUNT(&others) > 1) CPU_CLR(here, &others);
  for (std::thread& worker : workers_) pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
#endif
}

void Pool::run(int items, Task task, const void* context) {
  if (items == 0) return;
  task_ = task;
  context_ = context;
  items_ = items;
  done_.store(0, std::memory_order_relaxed);
  ++pass_;
  const uint32_t finished = finished_.now();
  for (int i = 0; i < threads_; ++i) {
    ranges_[i].first = static_cast<int>(static_cast<int64_t>(items) * i / threads_);
  }
  for (int i = 0; i < threads_; ++i) {
    const int64_t end = static_cast<int64_t>(items) * (i + 1) / threads_;
    const uint64_t count = static_cast<uint64_t>(end - ranges_[i].first);
    ranges_[i].ticket.store(static_cast<uint64_t>(pass_) << 32 | count, std::memory_order_release);
  }
  // In a forked process nobody must be woken: those that slept at the fork are still counted, and are no more.
  if (threads_ > 1 && getpid() == process_) {
    keep_apart();
    started_.raise();
  }
  work(0);
  finished_.wait(finished);
}

}  // namespace catchlight
