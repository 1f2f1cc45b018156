// RWKV-5 and 6 recurrence, forward; a block of 4 HEAD_SIZE threads runs one head of one sequence
// over all T tokens. Arrays are contiguous: r, k, v (B, T, H, N) of type INPUT, log_decay the same
// or (H, N); u (H, N), y (B, T, H, N), states (B, H, N, N) and measures (B, T, H, 5) are float.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128. INPUT: float, Half or BFloat.

#include "wkv6.cuh"

namespace {

constexpr int N = HEAD_SIZE;
using Head = Wkv6<N>;

template <bool kMeasure>
__device__ void run(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                    const float* u, const float* before, float* after, float* y, float* measures,
                    int64 T, int64 H, int is_constant) {
  SHARED(float, tokens, 2 * kWkv6Vectors * N);
  SHARED(float, parts, kMeasure ? Head::kThreads / kWarp * Measure::kCount : 1);
  const int64 b = blockIdx.x / H, h = blockIdx.x % H, matrix = (int64)blockIdx.x * N * N;
  const int which = threadIdx.x / N, i = threadIdx.x % N;
  const INPUT* from = which == kReceptance ? r : which == kDecay ? log_decay : which == kKey ? k : v;
  const bool is_fixed = is_constant && which == kDecay;
  float S[Head::kEach], bonus[Head::kEach], next = 0;
  Head::load_row(before + matrix, S);
#pragma unroll
  for (int j = 0; j < Head::kEach; ++j) bonus[j] = u[h * N + Head::place(j)];
  const auto fetch = [&](int64 t) {
    next = to_float(from[is_fixed ? h * N + i : ((b * T + t) * H + h) * N + i]);
  };
  if (T > 0) fetch(0);
  for (int64 t = 0; t < T; ++t) {
    // Two places in turn, so that one barrier is enough.
    float* token = tokens + t % 2 * kWkv6Vectors * N;
    token[threadIdx.x] = which == kDecay ? expf(next) : next;
    if (t + 1 < T) fetch(t + 1);
    __syncthreads();
    Measure measure;
    const float made = Head::template step<kMeasure>(S, bonus, token, measure);
    const int64 at = (b * T + t) * H + h;
    if (Head::is_first()) y[at * N + Head::line()] = made;
    if (kMeasure) measure.store(measures + at * Measure::kCount, parts);
  }
  Head::store_row(S, after + matrix);
}

}  // namespace

extern "C" {

// A state before the first token and after the last; is_constant says that log_decay is (H, N).
__global__ void __launch_bounds__(Head::kThreads)
    wkv6_forward(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                 const float* u, const float* before, float* after, float* y, int64 T, int64 H,
                 int is_constant) {
  run<false>(r, log_decay, k, v, u, before, after, y, nullptr, T, H, is_constant);
}

__global__ void __launch_bounds__(Head::kThreads)
    wkv6_measured(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                  const float* u, const float* before, float* after, float* y, float* measures,
                  int64 T, int64 H, int is_constant) {
  run<true>(r, log_decay, k, v, u, before, after, y, measures, T, H, is_constant);
}

}
