// RWKV-4 recurrence, forward; a thread runs one channel of one sequence over all T tokens. Arrays
// are contiguous: k, v (B, T, C) of type INPUT; log_decay, u (C), y (B, T, C), states (B, 3, C) and
// measures (B, T, blocks, 5), to be summed over the blocks of channels, are float.
//
// INPUT: float, Half or BFloat.

#include "wkv4.cuh"

namespace {

// A block's channels.
constexpr int kChannels = 128;

template <bool kMeasure>
__device__ void run(const float* log_decay, const float* u, const INPUT* k, const INPUT* v,
                    const float* before, float* after, float* y, float* measures, int64 T,
                    int64 C) {
  SHARED(float, parts, kChannels / kWarp * Measure::kCount);
  const int64 blocks = (C + kChannels - 1) / kChannels, b = blockIdx.x / blocks;
  const int64 block = blockIdx.x % blocks, c = block * kChannels + threadIdx.x;
  const bool is_channel = c < C;
  const float* from = before + b * 3 * C + c;
  Wkv4 m{0, 0, 0};
  float w = 0, bonus = 0;
  if (is_channel) m = {from[0], from[C], from[2 * C]}, w = log_decay[c], bonus = u[c];
  for (int64 t = 0; t < T; ++t) {
    const int64 token = b * T + t;
    Measure measure;
    if (is_channel) {
      const float key = to_float(k[token * C + c]), value = to_float(v[token * C + c]);
      const float mean = m.mean();
      y[token * C + c] = m.step(w, bonus, key, value);
      // The mean moves by its newest value's share: what that brings, the old mean gives up.
      const float share = expf(key - m.p) / m.b;
      if (kMeasure) measure.add(mean, m.mean(), share * mean, 0, share * value);
    }
    if (kMeasure) measure.store(measures + (token * blocks + block) * Measure::kCount, parts);
  }
  if (!is_channel) return;
  float* to = after + b * 3 * C + c;
  to[0] = m.a, to[C] = m.b, to[2 * C] = m.p;
}

}  // namespace

extern "C" {

// A state before the first token and after the last: numerator, denominator, largest exponent.
__global__ void __launch_bounds__(kChannels)
    wkv4_forward(const float* log_decay, const float* u, const INPUT* k, const INPUT* v,
                 const float* before, float* after, float* y, int64 T, int64 C) {
  run<false>(log_decay, u, k, v, before, after, y, nullptr, T, C);
}

__global__ void __launch_bounds__(kChannels)
    wkv4_measured(const float* log_decay, const float* u, const INPUT* k, const INPUT* v,
                  const float* before, float* after, float* y, float* measures, int64 T, int64 C) {
  run<true>(log_decay, u, k, v, before, after, y, measures, T, C);
}

}
