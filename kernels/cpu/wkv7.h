// One token of RWKV-7's recurrence for one head; see wkv7.cpp.
#pragma once

#include "measure.h"

template <int N>
struct Wkv7Step {
  static constexpr int kVecs = N / kLanes;

  static Vec dot(const float* x, const float* y) {
    Vec total = load(x) * load(y);
    for (int c = 1; c < kVecs; ++c) total += load(x + c * kLanes) * load(y + c * kLanes);
    return total;
  }

  // w = exp(log_decay) and b = kk * a of one token.
  static void prepare(const float* log_decay, const float* kk, const float* a, float* w, float* b) {
    for (int c = 0; c < N; c += kLanes) {
      store(w + c, exp_nonpositive(load(log_decay + c)));
      store(b + c, load(kk + c) * load(a + c));
    }
  }

  // S becomes the state after the token; before may be the same array.
  template <bool kMeasure, class To = Into>
  static void step(const float* before, float* S, const float* r, const float* w, const float* k,
                   const float* v, const float* kk, const float* b, float* y, float* sa_out,
                   Measure* measure) {
    for (int block = 0; block < N; block += kLanes) {
      Vec rows[kLanes];
      float sa[kLanes];
      for (int i = 0; i < kLanes; ++i) rows[i] = dot(before + (block + i) * N, kk);
      store(sa, sum_each_row(rows));
      if (sa_out) std::memcpy(sa_out + block, sa, sizeof(sa));
      for (int i = 0; i < kLanes; ++i) {
        const float* from = before + (block + i) * N;
        float* to = S + (block + i) * N;
        const Vec vi = splat(v[block + i]), si = splat(sa[i]);
        Vec read{};
        for (int c = 0; c < N; c += kLanes) {
          const Vec old = load(from + c);
          const Vec now = old * load(w + c) - si * load(b + c) + vi * load(k + c);
          To::put(to + c, now);
          read += now * load(r + c);
          if (kMeasure)
            measure->add(old, now, old - old * load(w + c), si * load(b + c), vi * load(k + c));
        }
        rows[i] = read;
      }
      store(y + block, sum_each_row(rows));
    }
  }
};
