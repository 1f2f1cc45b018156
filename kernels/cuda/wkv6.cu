// RWKV-5 and 6 recurrence, forward. A block runs 16 rows of one head (x) of one sequence over all T
// tokens. Arrays are contiguous: r, k, v (B, T, H, N) of type INPUT, log_decay the same or (H, N);
// u (H, N), y (B, T, H, N), states (B, H, N, N) and measures (B, T, H, N / 8, 5), of 8 rows each,
// to be summed, are float.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128. INPUT: float, Half or BFloat.

#include "pieces.cuh"
#include "wkv6.cuh"

namespace {

constexpr int N = HEAD_SIZE, kPiece = piece_tokens(N);
using Head = Wkv6<N, kBlockLines>;

template <bool kMeasure>
__device__ void run(const INPUT* const (&inputs)[kWkv6Vectors], const float* u, const float* before,
                    float* after, float* y, float* measures, int64 T, int64 H, int is_constant) {
  SHARED(float, tokens, 2 * kPiece * kWkv6Vectors * N);
  const int64 b = blockIdx.x / H, h = blockIdx.x % H, matrix = (int64)blockIdx.x * N * N;
  const int64 stride = H * N, start = (b * T * H + h) * N;
  Reader<INPUT, N, kPiece, Head::kThreads> readers[kWkv6Vectors];
  const auto fetch = [&](int64 first) {
#pragma unroll
    for (int i = 0; i < kWkv6Vectors; ++i) {
      // A constant decay is the same for all tokens.
      const bool is_fixed = is_constant && i == kDecay;
      const INPUT* from = inputs[i] + (is_fixed ? h * N : start + first * stride);
      readers[i].fetch(from, is_fixed ? 0 : stride, T - first);
    }
  };
  float S[Head::kEach], bonus[Head::kEach];
  Head::load_row(before + matrix, S);
  Head::part(u + h * N, bonus);
  fetch(0);
  for (int64 first = 0; first < T; first += kPiece) {
    // Two places in turn, so that one barrier is enough.
    float* piece = tokens + first / kPiece % 2 * kPiece * kWkv6Vectors * N;
#pragma unroll
    for (int i = 0; i < kWkv6Vectors; ++i)
      readers[i].put(piece + i * N, kWkv6Vectors * N, i == kDecay);
    fetch(first + kPiece);
    __syncthreads();
    for_tokens<kPiece>(T - first, [&](int i) {
      Measure measure;
      const float* token = piece + i * kWkv6Vectors * N;
      const float made = Head::template step<kMeasure>(S, bonus, token, measure);
      const int64 at = start + (first + i) * stride + Head::line();
      y[at] = made;  // all threads of the row: a branch for one would cost more
      if (kMeasure) measure.store(measures + at / Head::kWarpLines * Measure::kCount);
    });
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
  run<false>({r, log_decay, k, v}, u, before, after, y, nullptr, T, H, is_constant);
}

__global__ void __launch_bounds__(Head::kThreads)
    wkv6_measured(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                  const float* u, const float* before, float* after, float* y, float* measures,
                  int64 T, int64 H, int is_constant) {
  run<true>({r, log_decay, k, v}, u, before, after, y, measures, T, H, is_constant);
}

}
