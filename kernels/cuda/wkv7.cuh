// One token of RWKV-7's recurrence for one head: sa = S kk;  S <- S diag(w) - sa (kk a)' + v k';
// y = S r, with w = exp(log_decay). Definition: kernels/reference.py.
#pragma once

#include "tile.cuh"

// Places of a token's vectors of N floats in shared memory.
enum Wkv7Vector { kR, kW, kK, kV, kKk, kA, kWkv7Vectors };

template <int N>
struct Wkv7 : Tile<N> {
  using T = Tile<N>;

  // Moves the state over one token and returns the row's y; sa is what the row forgets.
  template <bool kMeasure>
  __device__ __forceinline__ static float step(float (&S)[T::kEach], const float* token, float& sa,
                                               Measure& measure) {
    float kk[T::kEach], a[T::kEach], k[T::kEach], w[T::kEach], r[T::kEach];
    T::part(token + kKk * N, kk);
    sa = 0;
#pragma unroll
    for (int j = 0; j < T::kEach; ++j) sa += S[j] * kk[j];
    sa = T::sum(sa);
    T::part(token + kA * N, a);
    T::part(token + kK * N, k);
    T::part(token + kW * N, w);
    T::part(token + kR * N, r);
    const float v = token[kV * N + T::line()];
    float y = 0;
#pragma unroll
    for (int j = 0; j < T::kEach; ++j) {
      const float old = S[j], erase = sa * (kk[j] * a[j]), write = v * k[j];
      S[j] = old * w[j] - erase + write;
      y += S[j] * r[j];
      if (kMeasure) measure.add(old, S[j], old - old * w[j], erase, write);
    }
    return T::sum(y);
  }
};

// Reads a token's six vectors of N from memory, two numbers a thread, while another is computed.
template <int N, class In>
struct Wkv7Reader {
  const In *first, *second;
  float one = 0, two = 0;

  __device__ __forceinline__ Wkv7Reader(const In* r, const In* log_decay, const In* k, const In* v,
                                        const In* kk, const In* a) {
    const int which = threadIdx.x / N;
    first = which == 0 ? r : which == 1 ? log_decay : which == 2 ? k : v;
    second = which == 0 ? kk : which == 1 ? a : nullptr;
  }

  // offset: of the token's first element for this head.
  __device__ __forceinline__ void fetch(int64 offset) {
    const int64 at = offset + threadIdx.x % N;
    one = to_float(first[at]);
    if (second) two = to_float(second[at]);
  }

  __device__ __forceinline__ void put(float* token) const {
    const int which = threadIdx.x / N, i = threadIdx.x % N;
    token[which * N + i] = which == kW ? expf(one) : one;
    if (second) token[(4 + which) * N + i] = two;
  }
};
