// One token of RWKV-5's and 6's recurrence for one head: y = S r + (r . u k) v;
// S <- S diag(w) + v k', with w = exp(log_decay). Definition: kernels/reference.py.
#pragma once

#include "tile.cuh"

// Places of a token's vectors of N floats in shared memory.
enum Wkv6Vector { kReceptance, kDecay, kKey, kValue, kWkv6Vectors };

template <int N, int kLines = N>
struct Wkv6 : Tile<N, kLines> {
  using T = Tile<N, kLines>;

  // Moves the state over one token and returns the row's y; u is this thread's part of it.
  template <bool kMeasure>
  __device__ __forceinline__ static float step(float (&S)[T::kEach], const float (&u)[T::kEach],
                                               const float* token, Measure& measure) {
    float k[T::kEach], w[T::kEach], r[T::kEach];
    T::part(token + kKey * N, k);
    T::part(token + kDecay * N, w);
    T::part(token + kReceptance * N, r);
    const float v = token[kValue * N + T::line()];
    float read[T::kEach];
#pragma unroll
    for (int j = 0; j < T::kEach; ++j) {
      const float old = S[j], write = v * k[j];
      read[j] = old + u[j] * write;
      S[j] = old * w[j] + write;
      if (kMeasure) measure.add(old, S[j], old - old * w[j], 0, write);
    }
    return T::dot(read, r);
  }
};
