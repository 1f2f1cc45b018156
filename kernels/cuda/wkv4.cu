// RWKV-4 recurrence, forward; a thread runs one channel of one sequence over all T tokens. Arrays
// are contiguous: k, v (B, T, C) of type INPUT; log_decay, u (C), y (B, T, C), states (B, 3, C) and
// measures (B, T, warps, 5), to be summed over the warps of channels, are float.
//
// INPUT: float, Half or BFloat.

#include "wkv4.cuh"

namespace {

// A block's channels, and tokens that are fetched while as many are worked on.
constexpr int kChannels = 128, kPiece = 8;

template <bool kMeasure>
__device__ void run(const float* log_decay, const float* u, const INPUT* k, const INPUT* v,
                    const float* before, float* after, float* y, float* measures, int64 T,
                    int64 C) {
  const int64 blocks = (C + kChannels - 1) / kChannels, b = blockIdx.x / blocks;
  const int64 place = blockIdx.x % blocks * kChannels + threadIdx.x;
  const bool is_channel = place < C;
  // Threads without a channel repeat the last one's work, and write nothing.
  const int64 c = is_channel ? place : C - 1;
  const float* from = before + b * 3 * C + c;
  const float w = log_decay[c], bonus = u[c];
  Wkv4 m{from[0], from[C], from[2 * C]};
  INPUT keys[kPiece] = {}, values[kPiece] = {};
  const auto fetch = [&](int64 first) {
#pragma unroll
    for (int i = 0; i < kPiece; ++i) {
      if (first + i >= T) break;
      keys[i] = k[(b * T + first + i) * C + c];
      values[i] = v[(b * T + first + i) * C + c];
    }
  };
  fetch(0);
  for (int64 first = 0; first < T; first += kPiece) {
    float key[kPiece], value[kPiece];
#pragma unroll
    for (int i = 0; i < kPiece; ++i) key[i] = to_float(keys[i]), value[i] = to_float(values[i]);
    fetch(first + kPiece);
#pragma unroll
    for (int i = 0; i < kPiece; ++i) {
      if (first + i >= T) break;
      const int64 token = b * T + first + i;
      const float mean = m.mean(), made = m.step(w, bonus, key[i], value[i]);
      if (is_channel) y[token * C + c] = made;
      if (!kMeasure) continue;
      // The mean moves by its newest value's share: what that brings, the old mean gives up.
      Measure measure;
      const float share = expf(key[i] - m.p) / m.b;
      if (is_channel) measure.add(mean, m.mean(), share * mean, 0, share * value[i]);
      measure.store(measures + (token * blocks * kChannels + place) / kWarp * Measure::kCount);
    }
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
