// Jobs without a plan: a product, and what its speed is compared with.
#pragma once

#include "pool.h"

// One matrix and many tokens, outside of a plan: inputs are rounded, then multiplied.
class ProductJob : public Job {
 public:
  ProductJob(const Matrix& m, const float* x, float* y, int64_t tokens, int64_t threads)
      : m_(m), x_(x), y_(y), tokens_(tokens), panels_(ceil_div(m.panels(), 8 * threads)),
        ld_(rounded_floats(m.format, m.columns)), rounded_(ld_ * tokens) {}

  int64_t phases() const override { return 2; }
  int64_t chunks(int64_t phase) const override {
    if (phase == 0) return ld_ ? ceil_div(tokens_, kTokens) : 0;
    return ceil_div(m_.panels(), panels_);
  }

  void run(int64_t phase, int64_t chunk, Scratch& scratch) override {
    if (phase == 0) return round(chunk * kTokens, std::min(tokens_, (chunk + 1) * kTokens));
    const int64_t last = std::min(m_.panels(), (chunk + 1) * panels_);
    for (int64_t panel = chunk * panels_; panel < last; ++panel)
      for (int64_t row = 0; row < tokens_; row += kMaxTokens) multiply(panel, row, scratch);
  }

 private:
  static constexpr int64_t kTokens = 16;

  void round(int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t)
      round_inputs(m_.format, x_ + t * m_.columns, m_.columns, &rounded_[t * ld_]);
  }

  void multiply(int64_t panel, int64_t row, Scratch& scratch) {
    const int64_t tokens = std::min<int64_t>(kMaxTokens, tokens_ - row);
    const int64_t first = panel * kRows, count = std::min<int64_t>(kRows, m_.rows - first);
    const Inputs in{x_ + row * m_.columns, m_.columns, rounded_.data() + row * ld_, ld_};
    multiply_panel(m_, panel, in, tokens, nullptr, scratch);
    for (int64_t t = 0; t < tokens; ++t)
      std::memcpy(y_ + (row + t) * m_.rows + first, scratch.y + t * kRows, sizeof(float) * count);
  }

  const Matrix m_;
  const float* x_;
  float* y_;
  const int64_t tokens_, panels_, ld_;
  std::vector<float> rounded_;
};

// Reads memory and does nothing with it: the speed that products are compared with.
class ReadJob : public Job {
 public:
  ReadJob(const uint8_t* data, int64_t bytes, int64_t threads)
      : data_(data), count_(8 * threads), part_(bytes / count_ / kColumn * kColumn) {}

  int64_t phases() const override { return 1; }
  int64_t chunks(int64_t) const override { return count_; }

  void run(int64_t, int64_t chunk, Scratch& scratch) override {
    Vec total[kVecs] = {};
    for (int64_t at = chunk * part_; at < (chunk + 1) * part_; at += kColumn)
      for_column<Float32>(data_ + at, [&](int j, Vec x) { total[j] += x; });
    for (int j = 0; j < kVecs; ++j) store(scratch.y + j * kLanes, total[j]);
  }

 private:
  static constexpr int64_t kColumn = Float32::kColumn;
  const uint8_t* data_;
  const int64_t count_, part_;
};

// Multiplies what is in registers, as a format's products do, and makes nothing of it: the speed that
// products of many tokens are compared with.
class RegistersJob : public Job {
 public:
  RegistersJob(int64_t format, int64_t threads) : format_(format), chunks_(8 * threads) {}

  int64_t multiplications() const {
    const int64_t together = is_of_integers() ? Int8::kColumns : is_of_halves() ? 2 : 1;
    return chunks_ * kRounds * kTotals * kLanes * together;
  }

  int64_t phases() const override { return 1; }
  int64_t chunks(int64_t) const override { return chunks_; }

  void run(int64_t, int64_t, Scratch& scratch) override {
    if (is_of_integers())
      multiply<IntVec>(scratch, [](IntVec total, IntVec w, IntVec x) { return Int8::add(total, w, x); });
    else if (is_of_halves())
      multiply<Vec>(scratch, [](Vec total, Vec w, Vec x) { return Bfloat16Rounded::add(total, w, x); });
    else
      multiply<Vec>(scratch, [](Vec total, Vec w, Vec x) { return total + w * x; });
  }

 private:
  // As many totals as one instruction after another keeps busy, of as many different products, since the
  // compiler makes equal ones once: each vector with itself and those after it. 16 registers hold all.
  static constexpr int kVectors = 4, kTotals = 10;
  static constexpr int64_t kRounds = 1 << 18;

  bool is_of_integers() const { return rounding(format_) != kNotRounded && !is_of_halves(); }
  bool is_of_halves() const { return rounding(format_) == kToHalves; }

  // The compiler cannot know that it stays the same.
  template <class Any>
  static Any unknown(Any x) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(x));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(x));
#endif
    return x;
  }

  template <class Any, class Add>
  static void multiply(Scratch& scratch, Add add) {
    Any vectors[kVectors] = {}, totals[kTotals] = {};
    for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 4
      for (Any& some : vectors) some = unknown(some);
      Any* total = totals;
#pragma GCC unroll 4
      for (int i = 0; i < kVectors; ++i)
#pragma GCC unroll 4
        for (int j = i; j < kVectors; ++j, ++total) *total = add(*total, vectors[i], vectors[j]);
    }
#pragma GCC unroll 10
    for (int i = 0; i < kTotals; ++i) std::memcpy(scratch.y + i * kLanes, &totals[i], sizeof(Any));
  }

  const int64_t format_, chunks_;
};
