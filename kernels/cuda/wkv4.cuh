// One token of RWKV-4's recurrence for one channel. Definition: kernels/reference.py.
#pragma once

#include "device.cuh"

struct Wkv4 {
  float a, b, p;  // numerator, denominator, largest exponent

  // Reads one token into the memory and returns y.
  __device__ __forceinline__ float step(float w, float u, float k, float v) {
    float q = fmaxf(p, u + k);
    float old = expf(p - q), now = expf(u + k - q);
    const float y = (old * a + now * v) / (old * b + now);
    q = fmaxf(p + w, k);
    old = expf(p + w - q), now = expf(k - q);
    a = old * a + now * v;
    b = old * b + now;
    p = q;
    return y;
  }

  __device__ __forceinline__ float mean() const { return b > 0 ? a / b : 0; }
};
