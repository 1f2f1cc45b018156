// Threads that share a job's phases, chunk by chunk.
//
// A phase is over when its chunks are done, not when every thread has arrived: whoever is not
// running at the moment is not waited for, so a busy neighbour costs its share and no more. One
// 64-bit word tells phase, chunks and next chunk; a thread takes a chunk by adding one to it.
// Whoever finishes a phase's last chunk also does the phases of one chunk that follow.
#pragma once

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "product.h"

struct Job {
  virtual int64_t phases() const = 0;
  virtual int64_t chunks(int64_t phase) const = 0;  // under 2^20
  virtual void run(int64_t phase, int64_t chunk, Scratch& scratch) = 0;
};

class Pool {
 public:
  explicit Pool(int threads) : scratch_(std::max(threads, 1)) {
    for (size_t i = 1; i < scratch_.size(); ++i)
      helpers_.emplace_back([this, i] { help(scratch_[i]); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(sleep_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
  }

  int64_t threads() const { return scratch_.size(); }

  // Runs one job at a time, the calling thread included.
  void run(Job& job) {
    std::lock_guard<std::mutex> lock(one_job_);
    job_ = &job;
    begin(0, scratch_[0]);
    if (asleep_ > 0 && word_ != kIdle) {
      { std::lock_guard<std::mutex> sleep(sleep_); }
      wake_.notify_all();
    }
    work(scratch_[0]);
  }

 private:
  static constexpr uint64_t kIdle = ~0ull, kMask = (1 << 20) - 1;
  // A pause is some 20 to 60 ns. Helpers wait this long for the next job before they sleep.
  static constexpr int kPauses = 2000, kYields = 200;

  // Does phases of one chunk, and offers the first one with more.
  void begin(int64_t phase, Scratch& scratch) {
    for (; phase < job_->phases(); ++phase) {
      const int64_t chunks = job_->chunks(phase);
      if (chunks > 1 && threads() > 1) {
        done_ = 0;
        word_ = (uint64_t)phase << 40 | (uint64_t)chunks << 20;
        return;
      }
      for (int64_t chunk = 0; chunk < chunks; ++chunk) job_->run(phase, chunk, scratch);
    }
    word_ = kIdle;
  }

  void work(Scratch& scratch) {
    for (int waited = 0;;) {
      uint64_t word = word_;
      if (word == kIdle) return;
      const int64_t phase = word >> 40, chunks = word >> 20 & kMask, chunk = word & kMask;
      if (chunk == chunks) {
        wait(waited++);
      } else if (word_.compare_exchange_weak(word, word + 1)) {
        waited = 0;
        job_->run(phase, chunk, scratch);
        if (++done_ == chunks) begin(phase + 1, scratch);
      }
    }
  }

  void help(Scratch& scratch) {
    for (int waited = 0; !stop_;) {
      if (word_ != kIdle) {
        work(scratch);
        waited = 0;
      } else if (waited < kPauses + kYields) {
        wait(waited++);
      } else {
        std::unique_lock<std::mutex> lock(sleep_);
        ++asleep_;
        wake_.wait(lock, [this] { return word_ != kIdle || stop_; });
        --asleep_;
        waited = 0;
      }
    }
  }

  static void wait(int waited) {
    if (waited >= kPauses) {
      sched_yield();
    } else {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
  }

  alignas(64) std::atomic<uint64_t> word_{kIdle};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) Job* job_ = nullptr;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::mutex one_job_, sleep_;
  std::condition_variable wake_;
  std::vector<Scratch> scratch_;
  std::vector<std::thread> helpers_;
};
