// RWKV-7 recurrence, forward and backward; a block of 4 HEAD_SIZE threads runs one head of one
// sequence over all T tokens. Arrays are contiguous: r, log_decay, k, v, kk, a (B, T, H, N) of type
// INPUT; y, sa (B, T, H, N), states (B, H, N, N), kept (B, H, spans, N, N) and gradients are float.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128. INPUT: float, Half or BFloat.

#include "wkv7.cuh"

namespace {

constexpr int N = HEAD_SIZE;
using Head = Wkv7<N>;

// States are kept every kSpan tokens for the backward pass, which replays the rest, kPiece tokens
// at a time, whose states stay in registers.
constexpr int kSpan = 16, kPiece = 4;

__device__ __forceinline__ int64 offset_of(int64 t, int64 T, int64 H) {
  return ((blockIdx.x / H * T + t) * H + blockIdx.x % H) * N;
}

template <bool kMeasure>
__device__ void run_forward(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                            const INPUT* kk, const INPUT* a, const float* before, float* after,
                            float* y, float* kept, float* sa, float* measures, int64 T, int64 H) {
  SHARED(float, tokens, 2 * kWkv7Vectors * N);
  SHARED(float, parts, kMeasure ? Head::kThreads / kWarp * Measure::kCount : 1);
  const int64 matrix = (int64)blockIdx.x * N * N, spans = (T + kSpan - 1) / kSpan;
  Wkv7Reader<N, INPUT> reader(r, log_decay, k, v, kk, a);
  float S[Head::kEach];
  Head::load_row(before + matrix, S);
  if (T > 0) reader.fetch(offset_of(0, T, H));
  for (int64 t = 0; t < T; ++t) {
    // Two places in turn, so that one barrier is enough.
    float* token = tokens + t % 2 * kWkv7Vectors * N;
    reader.put(token);
    if (t + 1 < T) reader.fetch(offset_of(t + 1, T, H));
    if (kept && t % kSpan == 0)
      Head::store_row(S, kept + (blockIdx.x * spans + t / kSpan) * N * N);
    __syncthreads();
    Measure measure;
    float forgotten;
    const float made = Head::template step<kMeasure>(S, token, forgotten, measure);
    const int64 at = offset_of(t, T, H) + Head::line();
    if (Head::is_first()) {
      y[at] = made;
      if (sa) sa[at] = forgotten;
    }
    if (kMeasure) measure.store(measures + offset_of(t, T, H) / N * Measure::kCount, parts);
  }
  Head::store_row(S, after + matrix);
}

// One head's way back. A thread has a part of a row of D, the gradient of the state, and of a
// column of both D and the states, so that sums along either are its own and three neighbours'.
struct Back {
  using Tl = Tile<N>;
  static constexpr int kEach = Tl::kEach;
  enum Vector { kR, kW, kK, kV, kKk, kA, kSa, kDy, kVectors };

  float states[kPiece + 1][kEach];  // before each token of a piece, and after the last
  float row[kEach], column[kEach];

  // Puts a piece's vectors into shared memory; what is past the last token is not read.
  __device__ static void read(const INPUT* const (&inputs)[6], const float* sa, const float* dy,
                              int64 first, int64 T, int64 H, float* tokens) {
    __syncthreads();
    for (int i = threadIdx.x; i < kPiece * kVectors * N; i += Tl::kThreads) {
      const int64 t = first + i / (kVectors * N);
      const int which = i / N % kVectors;
      if (t >= T) break;
      const int64 at = offset_of(t, T, H) + i % N;
      float x = which == kSa ? sa[at] : which == kDy ? dy[at] : 0;
#pragma unroll
      for (int j = 0; j < 6; ++j)
        if (which == j) x = to_float(inputs[j][at]);
      tokens[i] = which == kW ? expf(x) : x;
    }
    __syncthreads();
  }

  // The state after a token from that before it, both this thread's part of a column.
  __device__ __forceinline__ static void replay(const float (&from)[kEach], float (&to)[kEach],
                                                const float* token) {
    const int c = Tl::line();
    const float w = token[kW * N + c], k = token[kK * N + c];
    const float b = token[kKk * N + c] * token[kA * N + c];
    float v[kEach], sa[kEach];
    Tl::part(token + kV * N, v);
    Tl::part(token + kSa * N, sa);
#pragma unroll
    for (int j = 0; j < kEach; ++j) to[j] = from[j] * w - sa[j] * b + v[j] * k;
  }

  // Adds a token's y to D, writes the gradient of v, and returns that of the row's sa.
  __device__ __forceinline__ float along_row(const float* token, float* dv) {
    const float dy = token[kDy * N + Tl::line()];
    float r[kEach], k[kEach], kk[kEach], a[kEach];
    Tl::part(token + kR * N, r);
    Tl::part(token + kK * N, k);
    Tl::part(token + kKk * N, kk);
    Tl::part(token + kA * N, a);
    float to_v = 0, to_sa = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      row[j] += dy * r[j];
      to_v += row[j] * k[j];
      to_sa -= row[j] * (kk[j] * a[j]);
    }
    to_v = Tl::sum(to_v);
    if (Tl::is_first()) dv[Tl::line()] = to_v;
    return Tl::sum(to_sa);
  }

  // The same D by columns. Gradients: of r, log_decay, k, v, kk, a, each of this token and head.
  __device__ __forceinline__ void along_column(const float (&before)[kEach],
                                               const float (&after)[kEach], const float* token,
                                               const float* dsa, float* const (&grads)[6],
                                               int64 at) {
    const int c = Tl::line();
    const float r = token[kR * N + c], w = token[kW * N + c], kk = token[kKk * N + c];
    float dy[kEach], v[kEach], sa[kEach], ds[kEach];
    Tl::part(token + kDy * N, dy);
    Tl::part(token + kV * N, v);
    Tl::part(token + kSa * N, sa);
    Tl::part(dsa, ds);
    float to_r = 0, to_w = 0, to_k = 0, to_kk = 0, to_b = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const float g = column[j] + dy[j] * r;
      to_r += dy[j] * after[j];
      to_w += g * before[j];
      to_k += g * v[j];
      to_kk += ds[j] * before[j];
      to_b -= g * sa[j];
      column[j] = g * w + ds[j] * kk;
    }
    to_r = Tl::sum(to_r), to_w = Tl::sum(to_w), to_k = Tl::sum(to_k);
    to_kk = Tl::sum(to_kk), to_b = Tl::sum(to_b);
    if (Tl::is_first()) {
      grads[0][at + c] = to_r;
      grads[1][at + c] = to_w * w;
      grads[2][at + c] = to_k;
      grads[4][at + c] = to_kk + to_b * token[kA * N + c];
      grads[5][at + c] = to_b * kk;
    }
  }

  // One token back; token and dsa are in shared memory.
  __device__ __forceinline__ void step(const float (&before)[kEach], const float (&after)[kEach],
                                       const float* token, float* dsa, float* const (&grads)[6],
                                       int64 at) {
    const float to_sa = along_row(token, grads[3] + at);
    if (Tl::is_first()) dsa[Tl::line()] = to_sa;
    __syncthreads();
    along_column(before, after, token, dsa, grads, at);
    float w[kEach], kk[kEach];
    Tl::part(token + kW * N, w);
    Tl::part(token + kKk * N, kk);
#pragma unroll
    for (int j = 0; j < kEach; ++j) row[j] = row[j] * w[j] + to_sa * kk[j];
  }
};

}  // namespace

extern "C" {

// A state before the first token and after the last. May be null: kept and sa, which
// wkv7_backward needs.
__global__ void __launch_bounds__(Head::kThreads)
    wkv7_forward(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                 const INPUT* kk, const INPUT* a, const float* before, float* after, float* y,
                 float* kept, float* sa, int64 T, int64 H) {
  run_forward<false>(r, log_decay, k, v, kk, a, before, after, y, kept, sa, nullptr, T, H);
}

// Also measures (B, T, H, 5), see Measure.
__global__ void __launch_bounds__(Head::kThreads)
    wkv7_measured(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                  const INPUT* kk, const INPUT* a, const float* before, float* after, float* y,
                  float* measures, int64 T, int64 H) {
  run_forward<true>(r, log_decay, k, v, kk, a, before, after, y, nullptr, nullptr, measures, T, H);
}

// From the gradients of y and of the last state those of the six inputs and of the first state.
__global__ void __launch_bounds__(Head::kThreads)
    wkv7_backward(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                  const INPUT* kk, const INPUT* a, const float* kept, const float* sa,
                  const float* dy, const float* dlast, float* dfirst, float* dr, float* dlog_decay,
                  float* dk, float* dv, float* dkk, float* da, int64 T, int64 H) {
  SHARED(float, tokens, kPiece * Back::kVectors * N);
  SHARED(float, dsa, 2 * N);
  const INPUT* const inputs[6] = {r, log_decay, k, v, kk, a};
  float* const grads[6] = {dr, dlog_decay, dk, dv, dkk, da};
  const int64 matrix = (int64)blockIdx.x * N * N, spans = (T + kSpan - 1) / kSpan;
  Back back;
  Tile<N>::load_row(dlast + matrix, back.row);
  Tile<N>::load_column(dlast + matrix, back.column);
  for (int64 span = spans - 1; span >= 0; --span) {
    for (int64 piece = kSpan / kPiece - 1; piece >= 0; --piece) {
      const int64 first = span * kSpan + piece * kPiece;
      if (first >= T) continue;
      Tile<N>::load_column(kept + (blockIdx.x * spans + span) * N * N, back.states[0]);
      for (int64 t = span * kSpan; t < first; t += kPiece) {
        Back::read(inputs, sa, dy, t, T, H, tokens);
        for (int i = 0; i < kPiece; ++i)
          Back::replay(back.states[0], back.states[0], tokens + i * Back::kVectors * N);
      }
      Back::read(inputs, sa, dy, first, T, H, tokens);
      // Unrolled, so that each state has registers of its own.
#pragma unroll
      for (int i = 0; i < kPiece; ++i)
        if (first + i < T)
          Back::replay(back.states[i], back.states[i + 1], tokens + i * Back::kVectors * N);
#pragma unroll
      for (int i = kPiece - 1; i >= 0; --i)
        if (first + i < T)
          back.step(back.states[i], back.states[i + 1], tokens + i * Back::kVectors * N,
                    dsa + i % 2 * N, grads, offset_of(first + i, T, H));
    }
  }
  Tile<N>::store_row(back.row, dfirst + matrix);
}

}
