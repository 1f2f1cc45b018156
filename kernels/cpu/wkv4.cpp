// RWKV-4 recurrence, forward, for one process's CPU threads.
// Definition: kernels/reference.py. No torch headers: this builds in a second.
//
// Per channel and token, with w = log_decay and state (a, b, p):
//   q = max(p, u + k);  y = (e^(p-q) a + e^(u+k-q) v) / (e^(p-q) b + e^(u+k-q))
//   q = max(p + w, k);  a = e^(p+w-q) a + e^(k-q) v;  b likewise with 1 for v;  p = q
// Arrays are float32 and contiguous: log_decay, u (C), k, v, y (B, T, C), state (B, 3, C).

#include <algorithm>

#include "measure.h"
#include "wkv4.h"

namespace {

struct Inputs {
  const float *log_decay, *u, *k, *v;
};

struct Sizes {
  int64_t B, T, C;
  int64_t blocks() const { return (C + kLanes - 1) / kLanes; }
};

inline Vec mean(Vec a, Vec b) { return b > Vec{} ? a / b : Vec{}; }

void run_block(const Inputs& in, const Sizes& n, int64_t batch, int64_t block, float* state,
               float* y, float* measures) {
  const int64_t first = block * kLanes, count = std::min<int64_t>(kLanes, n.C - first);
  const Vec w = load_part(in.log_decay + first, count), u = load_part(in.u + first, count);
  float* s = state + batch * 3 * n.C + first;
  Wkv4Memory m{load_part(s, count), load_part(s + n.C, count), load_part(s + 2 * n.C, count)};
  for (int64_t t = 0; t < n.T; ++t) {
    const int64_t o = (batch * n.T + t) * n.C + first;
    const Vec k = load_part(in.k + o, count), v = load_part(in.v + o, count);
    const Vec before = mean(m.a, m.b);
    store_part(y + o, m.step(w, u, k, v), count);
    if (measures) {
      // The mean moves by its newest value's share: what that value brings, the old mean gives up.
      const Vec share = exp_nonpositive(k - m.p) / m.b;
      Vec parts[] = {before, mean(m.a, m.b), share * before, share * v};
      for (Vec& part : parts)
        for (int64_t i = count; i < kLanes; ++i) part[i] = 0;
      Measure measure;
      measure.add(parts[0], parts[1], parts[2], Vec{}, parts[3]);
      float sums[Measure::kCount];
      measure.store(sums);
      for (int i = 0; i < Measure::kCount; ++i)
        measures[Measure::kCount * (batch * n.T + t) + i] += sums[i];
    }
  }
  store_part(s, m.a, count);
  store_part(s + n.C, m.b, count);
  store_part(s + 2 * n.C, m.p, count);
}

}  // namespace

extern "C" {

// state holds numerator, denominator and largest exponent before the first token and, on return,
// after the last. measures (B, T, 5) may be null: see measure.h, of the remembered mean, summed over
// channels; what the mean gives up counts as faded.
void wkv4_forward(const float* log_decay, const float* u, const float* k, const float* v,
                  float* state, float* y, float* measures, int64_t B, int64_t T, int64_t C,
                  int threads) {
  const Inputs in{log_decay, u, k, v};
  const Sizes n{B, T, C};
  if (measures) {
    // Channels add into one sum, so they stay on one thread.
    std::fill(measures, measures + Measure::kCount * B * T, 0.0f);
    threads = 1;
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < n.B * n.blocks(); ++i)
    run_block(in, n, i / n.blocks(), i % n.blocks(), state, y, measures);
}
}
