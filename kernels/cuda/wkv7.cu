// RWKV-7 recurrence, forward. A block runs 16 rows of one head (x) of one sequence over all T
// tokens. Arrays are contiguous: r, log_decay, k, v, kk, a (B, T, H, N) of type INPUT; y, sa
// (B, T, H, N), states (B, H, N, N) and kept (B, H, spans, N, N) are float.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128. INPUT: float, Half or BFloat.

#include "pieces.cuh"
#include "wkv7.cuh"

namespace {

constexpr int N = HEAD_SIZE, kPiece = piece_tokens(N);
using Head = Wkv7<N, kBlockLines>;
static_assert(kSpan % kPiece == 0, "states are kept where a piece begins");

template <bool kKeep, bool kMeasure>
__device__ void run(const INPUT* const (&inputs)[kWkv7Vectors], const float* before, float* after,
                    float* y, float* kept, float* sa, float* measures, int64 T, int64 H) {
  SHARED(float, tokens, 2 * kPiece * kWkv7Vectors * N);
  const int64 matrix = (int64)blockIdx.x * N * N, spans = (T + kSpan - 1) / kSpan;
  const int64 stride = H * N, start = (blockIdx.x / H * T * H + blockIdx.x % H) * N;
  Reader<INPUT, N, kPiece, Head::kThreads> readers[kWkv7Vectors];
  const auto fetch = [&](int64 first) {
#pragma unroll
    for (int i = 0; i < kWkv7Vectors; ++i)
      readers[i].fetch(inputs[i] + start + first * stride, stride, T - first);
  };
  float S[Head::kEach];
  Head::load_row(before + matrix, S);
  fetch(0);
  for (int64 first = 0; first < T; first += kPiece) {
    // Two places in turn, so that one barrier is enough.
    float* piece = tokens + first / kPiece % 2 * kPiece * kWkv7Vectors * N;
#pragma unroll
    for (int i = 0; i < kWkv7Vectors; ++i) readers[i].put(piece + i * N, kWkv7Vectors * N, i == kW);
    fetch(first + kPiece);
    __syncthreads();
    if (kKeep && first % kSpan == 0)
      Head::store_row(S, kept + (blockIdx.x * spans + first / kSpan) * N * N);
    for_tokens<kPiece>(T - first, [&](int i) {
      Measure measure;
      float forgotten;
      const float* token = piece + i * kWkv7Vectors * N;
      const float made = Head::template step<kMeasure>(S, token, forgotten, measure);
      const int64 at = start + (first + i) * stride + Head::line();
      // All threads of a row write its one number: a branch for one of them would cost more.
      y[at] = made;
      if (kKeep) sa[at] = forgotten;
      if (kMeasure) measure.store(measures + at / Head::kWarpLines * Measure::kCount);
    });
  }
  Head::store_row(S, after + matrix);
}

}  // namespace

extern "C" {

// A state before the first token and after the last.
__global__ void __launch_bounds__(Head::kThreads, 2)
    wkv7_forward(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                 const INPUT* kk, const INPUT* a, const float* before, float* after, float* y,
                 int64 T, int64 H) {
  run<false, false>({r, log_decay, k, v, kk, a}, before, after, y, nullptr, nullptr, nullptr, T, H);
}

// Also what the way back needs, see wkv7_back.cu: states before every kSpan tokens, and sa.
__global__ void __launch_bounds__(Head::kThreads, 2)
    wkv7_keeping(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                 const INPUT* kk, const INPUT* a, const float* before, float* after, float* y,
                 float* kept, float* sa, int64 T, int64 H) {
  run<true, false>({r, log_decay, k, v, kk, a}, before, after, y, kept, sa, nullptr, T, H);
}

// Also measures (B, T, H, N / 8, 5), see Measure: of 8 rows each, to be summed.
__global__ void __launch_bounds__(Head::kThreads, 2)
    wkv7_measured(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                  const INPUT* kk, const INPUT* a, const float* before, float* after, float* y,
                  float* measures, int64 T, int64 H) {
  run<false, true>({r, log_decay, k, v, kk, a}, before, after, y, nullptr, nullptr, measures, T, H);
}

}
