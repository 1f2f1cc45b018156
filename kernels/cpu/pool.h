// Threads that share a job's phases, chunk by chunk.
//
// Each thread has a share of a phase, chunks that lie side by side, so that what it reads is one
// stream; when its own is done it takes from the others'. A phase is over when its chunks are done,
// not when every thread has arrived: whoever is not running at the moment is not waited for, so a
// busy neighbour costs its share and no more. One 64-bit word for each share tells the phase, the
// share's end and its next chunk; a thread takes a chunk by adding one to it. Whoever finishes a
// phase's last chunk also does the phases of one chunk that follow; the others fetch meanwhile
// what they will read next.
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
  // Memory that a thread will read one day after a phase, on from there; null: unknown.
  virtual const uint8_t* ahead(int64_t phase, int64_t thread) const { return nullptr; }
};

// The first chunk of a thread's share.
inline int64_t share_begin(int64_t thread, int64_t chunks, int64_t threads) {
  return thread * chunks / threads;
}

class Pool {
 public:
  explicit Pool(int threads) : scratch_(std::max(threads, 1)), shares_(scratch_.size()) {
    for (size_t i = 1; i < scratch_.size(); ++i) helpers_.emplace_back([this, i] { help(i); });
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
    if (asleep_ > 0 && shares_[0].word != kIdle) {
      { std::lock_guard<std::mutex> sleep(sleep_); }
      wake_.notify_all();
    }
    work(0);
  }

 private:
  struct alignas(64) Share {
    std::atomic<uint64_t> word{kIdle};
    std::atomic<const uint8_t*> ahead{nullptr};
  };

  static constexpr uint64_t kIdle = ~0ull, kMask = (1 << 20) - 1;
  // A pause is some 20 to 60 ns. Helpers wait this long for the next job before they sleep.
  static constexpr int kPauses = 2000, kYields = 200;
  // What is fetched ahead in one pause, and at most: a part of the second cache.
  static constexpr int kFetched = 512, kMostFetched = 96 * 1024;

  // Does phases of one chunk, and offers the first one with more.
  void begin(int64_t phase, Scratch& scratch) {
    for (; phase < job_->phases(); ++phase) {
      const int64_t chunks = job_->chunks(phase), n = threads();
      if (chunks > 1 && n > 1) {
        left_ = chunks;
        for (int64_t i = 0; i < n; ++i) shares_[i].ahead = job_->ahead(phase, i);
        for (int64_t i = 0; i < n; ++i)
          shares_[i].word = (uint64_t)phase << 40 | share_begin(i + 1, chunks, n) << 20 |
                            share_begin(i, chunks, n);
        return;
      }
      for (int64_t chunk = 0; chunk < chunks; ++chunk) job_->run(phase, chunk, scratch);
    }
    // The caller's last: it returns then, and may come back with the next job.
    for (size_t i = shares_.size(); i-- > 0;) shares_[i].word = kIdle;
  }

  // Takes a chunk of a share, or finds that another thread did; false: none was left.
  bool take(Share& share, Scratch& scratch) {
    uint64_t word = share.word;
    const int64_t phase = word >> 40, end = word >> 20 & kMask, chunk = word & kMask;
    if (word == kIdle || chunk == end) return false;
    if (share.word.compare_exchange_weak(word, word + 1)) {
      job_->run(phase, chunk, scratch);
      if (--left_ == 0) begin(phase + 1, scratch);
    }
    return true;
  }

  void work(size_t own) {
    const size_t n = shares_.size();
    for (int waited = 0; shares_[own].word != kIdle;) {
      bool is_busy = false;
      for (size_t i = 0; i < n && !is_busy; ++i)
        is_busy = take(shares_[(own + i) % n], scratch_[own]);
      if (is_busy) {
        waited = 0;
      } else {
        // The job may be over and gone by now, but a fetch from anywhere does no harm.
        fetch(shares_[own].ahead, waited);
        wait(waited++);
      }
    }
  }

  static void fetch(const uint8_t* from, int waited) {
    if (!from || waited >= kMostFetched / kFetched) return;
    for (int line = 0; line < kFetched; line += 64)
      __builtin_prefetch(from + waited * kFetched + line, 0, 2);
  }

  void help(size_t own) {
    const std::atomic<uint64_t>& word = shares_[own].word;
    for (int waited = 0; !stop_;) {
      if (word != kIdle) {
        work(own);
        waited = 0;
      } else if (waited < kPauses + kYields) {
        wait(waited++);
      } else {
        std::unique_lock<std::mutex> lock(sleep_);
        ++asleep_;
        wake_.wait(lock, [&] { return word != kIdle || stop_; });
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

  alignas(64) std::atomic<int64_t> left_{0};  // chunks of the phase that are not done
  alignas(64) Job* job_ = nullptr;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::mutex one_job_, sleep_;
  std::condition_variable wake_;
  std::vector<Scratch> scratch_;
  std::vector<Share> shares_;
  std::vector<std::thread> helpers_;
};
