// One token of RWKV-5's and 6's recurrence for one head; see wkv6.cpp.
#pragma once

#include "measure.h"

template <int N>
struct Wkv6Step {
  // Decays below exp(-80) count as 0: their products would be denormal, and slow.
  static void decays(const float* log_decay, float* w) {
    for (int c = 0; c < N; c += kLanes) {
      const Vec x = load(log_decay + c);
      store(w + c, x < splat(-80.0f) ? Vec{} : exp_nonpositive(x));
    }
  }

  // S becomes the state after the token; before may be the same array.
  template <bool kMeasure, class To = Into>
  static void step(const float* before, float* S, const float* r, const float* w, const float* k,
                   const float* v, const float* u, float* y, Measure* measure) {
    Vec total{};
    for (int c = 0; c < N; c += kLanes) total += load(r + c) * load(u + c) * load(k + c);
    const float bonus = sum(total);
    for (int block = 0; block < N; block += kLanes) {
      Vec rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const float* from = before + (block + i) * N;
        float* to = S + (block + i) * N;
        const Vec vi = splat(v[block + i]);
        Vec read{};
        for (int c = 0; c < N; c += kLanes) {
          const Vec old = load(from + c);
          const Vec now = old * load(w + c) + vi * load(k + c);
          read += old * load(r + c);
          To::put(to + c, now);
          if (kMeasure)
            measure->add(old, now, old - old * load(w + c), Vec{}, vi * load(k + c));
        }
        rows[i] = read;
      }
      store(y + block, sum_each_row(rows) + bonus * load(v + block));
    }
  }
};
