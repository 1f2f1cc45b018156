// Reads vectors of several tokens while those before are worked on. Memory answers after some 500
// to 1,000 cycles, a token's recurrence takes 100 to 200: who asks for one token at a time waits.
#pragma once

#include "device.cuh"

// Four neighbouring numbers as they lie in memory, on a boundary of their size.
template <class In>
struct Four {
  uint2 bits;

  __device__ __forceinline__ static Four at(const In* place) { return {*(const uint2*)place}; }
  __device__ __forceinline__ float4 floats() const {
    return make_float4(one(bits.x), one(bits.x >> 16), one(bits.y), one(bits.y >> 16));
  }
  __device__ __forceinline__ static float one(unsigned x) {
    return to_float(In{(unsigned short)x});
  }
};

template <>
struct Four<float> {
  float4 bits;

  __device__ __forceinline__ static Four at(const float* place) { return {*(const float4*)place}; }
  __device__ __forceinline__ float4 floats() const { return bits; }
};

// A vector of kWidth numbers for each of kTokens tokens, on its way from memory to shared memory
// through the registers of kThreads threads.
template <class In, int kWidth, int kTokens, int kThreads>
struct Reader {
  static constexpr int kFours = kWidth / 4, kAll = kTokens * kFours;
  static constexpr int kEach = (kAll + kThreads - 1) / kThreads;
  static constexpr bool kEven = kAll % kThreads == 0;

  Four<In> held[kEach];

  // from: of the first token, whose successors lie `stride` apart; from `count` on they are zeros.
  __device__ __forceinline__ void fetch(const In* from, int64 stride, int64 count) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int at = i * kThreads + threadIdx.x, t = at / kFours;
      held[i] = {};
      if ((kEven || t < kTokens) && t < count) held[i] = Four<In>::at(from + t * stride + at % kFours * 4);
    }
  }

  // to: of the first token, whose successors lie `stride` floats apart.
  __device__ __forceinline__ void put(float* to, int stride, bool is_log) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int at = i * kThreads + threadIdx.x;
      if (!kEven && at >= kAll) break;
      float4 x = held[i].floats();
      if (is_log) x = make_float4(expf(x.x), expf(x.y), expf(x.z), expf(x.w));
      *(float4*)(to + at / kFours * stride + at % kFours * 4) = x;
    }
  }
};

// Tokens of a piece: as many as a block of kThreads has registers for, 2 to 12 Fours a thread and
// 6 vectors; by the time that they are worked through the next have come.
__device__ constexpr int piece_tokens(int N) { return N <= 16 ? 16 : N <= 64 ? 8 : 4; }

// Calls do_token(i) for a piece's tokens in order. A whole piece is unrolled, so that what does
// not wait for the token before is done meanwhile.
template <int kTokens, class Do>
__device__ __forceinline__ void for_tokens(int64 count, Do do_token) {
  if (count >= kTokens) {
#pragma unroll 4
    for (int i = 0; i < kTokens; ++i) do_token(i);
  } else {
#pragma unroll 1
    for (int i = 0; i < count; ++i) do_token(i);
  }
}
