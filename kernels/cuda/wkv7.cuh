// One token of RWKV-7's recurrence for one head: sa = S kk;  S <- S diag(w) - sa (kk a)' + v k';
// y = S r, with w = exp(log_decay). Definition: kernels/reference.py.
#pragma once

#include "tile.cuh"

// Places of a token's vectors of N floats in shared memory.
enum Wkv7Vector { kR, kW, kK, kV, kKk, kA, kWkv7Vectors };

// States are kept every kSpan tokens for the way back.
constexpr int kSpan = 16;

template <int N, int kLines = N>
struct Wkv7 : Tile<N, kLines> {
  using T = Tile<N, kLines>;

  // Moves the state over one token and returns the row's y; sa is what the row forgets.
  template <bool kMeasure>
  __device__ __forceinline__ static float step(float (&S)[T::kEach], const float* token, float& sa,
                                               Measure& measure) {
    float kk[T::kEach], a[T::kEach], k[T::kEach], w[T::kEach], r[T::kEach];
    T::part(token + kKk * N, kk);
    sa = T::dot(S, kk);
    T::part(token + kA * N, a);
    T::part(token + kK * N, k);
    T::part(token + kW * N, w);
    T::part(token + kR * N, r);
    const float v = token[kV * N + T::line()];
#pragma unroll
    for (int j = 0; j < T::kEach; ++j) {
      // sa comes last, and everything else is ready by then.
      const float old = S[j], write = v * k[j], erase = sa * (kk[j] * a[j]);
      S[j] = (old * w[j] + write) - erase;
      if (kMeasure) measure.add(old, S[j], old - old * w[j], erase, write);
    }
    return T::dot(S, r);
  }
};
