// RWKV-7 recurrence, backward: D, the gradient of the state, goes from the last token to the
// first. Rows of D need nothing of each other but give sums along rows, dsa and dv; with dsa known
// its columns do not either, and give the other gradients. So one kernel goes by rows, the next by
// columns, each with as many blocks as a head has groups of lines and no thread waiting for
// another block's. Arrays are contiguous: r, log_decay, k, v, kk, a (B, T, H, N) of type INPUT;
// dy, sa, dsa and gradients (B, T, H, N), states (B, H, N, N), kept (B, H, spans, N, N) are float.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128. INPUT: float, Half or BFloat.

#include "pieces.cuh"
#include "wkv7.cuh"

namespace {

constexpr int N = HEAD_SIZE;

using Rows = Tile<N, kBlockLines>;
constexpr int kPiece = piece_tokens(N);

// The first element of a sequence and head.
__device__ __forceinline__ int64 start_of(int64 T, int64 H) {
  return (blockIdx.x / H * T * H + blockIdx.x % H) * N;
}

// One token back for a row of D. Returns the gradient of the row's sa; token has dy for v.
__device__ __forceinline__ float step_row(float (&row)[Rows::kEach], const float* token, float& dv) {
  const float dy = token[kV * N + Rows::line()];
  float r[Rows::kEach], k[Rows::kEach], w[Rows::kEach], kk[Rows::kEach], b[Rows::kEach];
  Rows::part(token + kR * N, r);
  Rows::part(token + kK * N, k);
  Rows::part(token + kW * N, w);
  Rows::part(token + kKk * N, kk);
  Rows::part(token + kA * N, b);
#pragma unroll
  for (int j = 0; j < Rows::kEach; ++j) row[j] += dy * r[j], b[j] *= kk[j];
  const float dsa = -Rows::dot(row, b);
  dv = Rows::dot(row, k);
#pragma unroll
  for (int j = 0; j < Rows::kEach; ++j) row[j] = row[j] * w[j] + dsa * kk[j];
  return dsa;
}

// Columns of both D and the states. A thread has several states, so only 8 or fewer numbers of
// each; and of columns of 128 numbers shared memory has place for 8 alone.
constexpr int kColumns = N > 64 ? 8 : kBlockLines;
using Columns = Tile<N, kColumns, N <= 16 ? 4 : N <= 64 ? 8 : 16>;
// A span is replayed once for the states before its pieces, then piece by piece from the last, with
// a state before each token in registers.
constexpr int kStates = 4, kStops = kSpan / kStates;

// Vectors of which a column needs all, and of which its own number.
enum Whole { kWholeV, kSa, kDy, kDsa, kWhole };
enum Own { kOwnR, kOwnW, kOwnK, kOwnKk, kOwnA, kOwn };

struct Span {
  static constexpr int kThreads = Columns::kThreads;
  Reader<INPUT, N, kSpan, kThreads> v;
  Reader<float, N, kSpan, kThreads> given[kWhole - 1];
  Reader<INPUT, kColumns, kSpan, kThreads> own[kOwn];

  const INPUT *inputs[kOwn], *values;
  const float* floats[kWhole - 1];
  int64 start, stride, T;

  __device__ __forceinline__ void fetch(int64 first) {
    const int64 at = start + first * stride;
    v.fetch(values + at, stride, T - first);
#pragma unroll
    for (int i = 0; i < kWhole - 1; ++i) given[i].fetch(floats[i] + at, stride, T - first);
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
      own[i].fetch(inputs[i] + at + blockIdx.y * kColumns, stride, T - first);
  }

  __device__ __forceinline__ void put(float* whole, float* mine) const {
    v.put(whole + kWholeV * N, kWhole * N, false);
#pragma unroll
    for (int i = 0; i < kWhole - 1; ++i) given[i].put(whole + (kSa + i) * N, kWhole * N, false);
#pragma unroll
    for (int i = 0; i < kOwn; ++i) own[i].put(mine + i * kColumns, kOwn * kColumns, i == kOwnW);
  }
};

// Where a column finds its numbers of one token.
struct Token {
  const float *whole, *own;

  __device__ __forceinline__ Token(const float* spans, const float* owns, int i)
      : whole(spans + i * kWhole * N),
        own(owns + i * kOwn * kColumns + Columns::line() % kColumns) {}
  __device__ __forceinline__ float mine(Own which) const { return own[which * kColumns]; }
};

// The state after a token from that before it. Tokens past the last are zeros and change nothing.
__device__ __forceinline__ void replay(const float (&from)[Columns::kEach],
                                       float (&to)[Columns::kEach], const Token& token) {
  const float w = token.mine(kOwnW), k = token.mine(kOwnK);
  const float b = token.mine(kOwnKk) * token.mine(kOwnA);
  float v[Columns::kEach], sa[Columns::kEach];
  Columns::part(token.whole + kWholeV * N, v);
  Columns::part(token.whole + kSa * N, sa);
#pragma unroll
  for (int j = 0; j < Columns::kEach; ++j) to[j] = from[j] * w - sa[j] * b + v[j] * k;
}

// One token back for a column of D. Returns the gradient that this part of the column writes: of
// log_decay, k, kk or a.
__device__ __forceinline__ float step_column(float (&column)[Columns::kEach],
                                             const float (&before)[Columns::kEach],
                                             const Token& token) {
  const float r = token.mine(kOwnR), w = token.mine(kOwnW), kk = token.mine(kOwnKk);
  float dy[Columns::kEach], dsa[Columns::kEach], v[Columns::kEach], sa[Columns::kEach];
  Columns::part(token.whole + kDy * N, dy);
  Columns::part(token.whole + kDsa * N, dsa);
  Columns::part(token.whole + kWholeV * N, v);
  Columns::part(token.whole + kSa * N, sa);
#pragma unroll
  for (int j = 0; j < Columns::kEach; ++j) column[j] += dy[j] * r;
  // Shares of the gradients of w, k, kk beside that of kk a, and kk a.
  const float to_w = Columns::share(column, before), to_k = Columns::share(column, v);
  const float to_kk = Columns::share(dsa, before), to_b = -Columns::share(column, sa);
#pragma unroll
  for (int j = 0; j < Columns::kEach; ++j) column[j] = column[j] * w + dsa[j] * kk;
  return Columns::sum_of_four(to_w * w, to_k, to_kk + to_b * token.mine(kOwnA), to_b * kk);
}

}  // namespace

extern "C" {

// From the gradients of y and of the last state those of v, of sa and of the first state.
__global__ void __launch_bounds__(Rows::kThreads, 2)
    wkv7_back_rows(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* kk,
                   const INPUT* a, const float* dy, const float* dlast, float* dfirst, float* dv,
                   float* dsa, int64 T, int64 H) {
  SHARED(float, tokens, 2 * kPiece * kWkv7Vectors * N);
  const int64 matrix = (int64)blockIdx.x * N * N, stride = H * N, start = start_of(T, H);
  const INPUT* const inputs[kWkv7Vectors] = {r, log_decay, k, nullptr, kk, a};
  Reader<INPUT, N, kPiece, Rows::kThreads> readers[kWkv7Vectors];
  Reader<float, N, kPiece, Rows::kThreads> reader;
  const auto fetch = [&](int64 first) {
#pragma unroll
    for (int i = 0; i < kWkv7Vectors; ++i)
      if (i != kV) readers[i].fetch(inputs[i] + start + first * stride, stride, T - first);
    reader.fetch(dy + start + first * stride, stride, T - first);
  };
  float row[Rows::kEach];
  Rows::load_row(dlast + matrix, row);
  int64 first = (T - 1) / kPiece * kPiece;
  if (T > 0) fetch(first);
  for (; T > 0 && first >= 0; first -= kPiece) {
    float* piece = tokens + first / kPiece % 2 * kPiece * kWkv7Vectors * N;
#pragma unroll
    for (int i = 0; i < kWkv7Vectors; ++i)
      if (i != kV) readers[i].put(piece + i * N, kWkv7Vectors * N, i == kW);
    reader.put(piece + kV * N, kWkv7Vectors * N, false);
    if (first > 0) fetch(first - kPiece);
    __syncthreads();
    const int64 count = T - first < kPiece ? T - first : kPiece;
    for_tokens<kPiece>(count, [&](int i) {
      const int64 t = count - 1 - i, at = start + (first + t) * stride + Rows::line();
      float to_v;
      const float to_sa = step_row(row, piece + t * kWkv7Vectors * N, to_v);
      dv[at] = to_v, dsa[at] = to_sa;
    });
  }
  Rows::store_row(row, dfirst + matrix);
}

// From the gradients of y, of sa and of the last state those of the other inputs.
__global__ void __launch_bounds__(Columns::kThreads, 2)
    wkv7_back_columns(const INPUT* r, const INPUT* log_decay, const INPUT* k, const INPUT* v,
                      const INPUT* kk, const INPUT* a, const float* kept, const float* sa,
                      const float* dy, const float* dsa, const float* dlast, float* dr,
                      float* dlog_decay, float* dk, float* dkk, float* da, int64 T, int64 H) {
  SHARED(float, whole, kSpan * kWhole * N);
  SHARED(float, own, kSpan * kOwn * kColumns);
  // A thread's own: its part of the state before every piece but the last.
  SHARED(float, stops, (kStops - 1) * Columns::kEach * Columns::kThreads);
  const int64 stride = H * N, start = start_of(T, H), spans = (T + kSpan - 1) / kSpan;
  const int part = Columns::which_part() % 4;
  float* const mine = part == 0 ? dlog_decay : part == 1 ? dk : part == 2 ? dkk : da;
  Span span{{}, {}, {}, {r, log_decay, k, kk, a}, v, {sa, dy, dsa}, start, stride, T};
  float column[Columns::kEach], states[kStates][Columns::kEach], next[Columns::kEach];
  Columns::load_column(dlast + (int64)blockIdx.x * N * N, column);
  const auto fetch = [&](int64 which) {
    span.fetch(which * kSpan);
    Columns::load_column(kept + (blockIdx.x * spans + which) * N * N, next);
  };
  if (spans > 0) fetch(spans - 1);
  for (int64 which = spans - 1; which >= 0; --which) {
    const int64 first = which * kSpan;
    const int count = T - first < kSpan ? (int)(T - first) : kSpan;
    const int pieces = (count + kStates - 1) / kStates;
    __syncthreads();
    span.put(whole, own);
#pragma unroll
    for (int j = 0; j < Columns::kEach; ++j) states[0][j] = next[j];
    __syncthreads();
    if (which > 0) fetch(which - 1);
    float* stop = stops + threadIdx.x;
    for (int i = 0; i < (pieces - 1) * kStates; ++i) {
      if (i % kStates == 0) {
#pragma unroll
        for (int j = 0; j < Columns::kEach; ++j, stop += Columns::kThreads) *stop = states[0][j];
      }
      replay(states[0], states[0], Token(whole, own, i));
    }
    for (int piece = pieces - 1; piece >= 0; --piece) {
      if (piece < pieces - 1) {
#pragma unroll
        for (int j = Columns::kEach - 1; j >= 0; --j) states[0][j] = *(stop -= Columns::kThreads);
      }
      const int64 at = start + (first + piece * kStates) * stride + Columns::line();
      // Unrolled, so that each state has registers of its own.
#pragma unroll
      for (int i = 0; i < kStates; ++i) {
        const Token token(whole, own, piece * kStates + i);
        float after[Columns::kEach], dy_part[Columns::kEach];
        replay(states[i], after, token);
        Columns::part(token.whole + kDy * N, dy_part);
        const float to_r = Columns::dot(dy_part, after);
        // All threads of a column write its one number: a branch for one of them would cost more.
        if (piece * kStates + i < count) dr[at + i * stride] = to_r;
        if (i + 1 < kStates) {
#pragma unroll
          for (int j = 0; j < Columns::kEach; ++j) states[(i + 1) % kStates][j] = after[j];
        }
      }
#pragma unroll
      for (int i = kStates - 1; i >= 0; --i) {
        const Token token(whole, own, piece * kStates + i);
        const float made = step_column(column, states[i], token);
        if (piece * kStates + i < count) mine[at + i * stride] = made;
      }
    }
  }
}

}
