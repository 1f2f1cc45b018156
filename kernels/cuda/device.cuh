// What every kernel stands on. No header of PyTorch's or of a CUDA toolkit's: NVRTC finds none
// where only PyTorch's wheels are installed. Tests compile the same files for the host, with a
// header that plays the GPU: tests/kernels/cuda/emulator.h.
#pragma once

#ifndef SHARED
// Memory that the threads of a block share, aligned so that four floats are read at once.
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#endif

using int64 = long long;

constexpr int kWarp = 32;

struct Half {
  unsigned short bits;
};

struct BFloat {
  unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }

__device__ __forceinline__ float to_float(BFloat x) {
  return __uint_as_float((unsigned)x.bits << 16);
}

__device__ __forceinline__ float to_float(Half x) {
#if defined(__CUDACC__)
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
#else
  // The exponent moves by a product, which also makes subnormal numbers normal.
  const float moved = __uint_as_float((x.bits & 0x7fffu) << 13) * __uint_as_float(0x77800000u);
  const unsigned special = (x.bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return __uint_as_float(__float_as_uint(moved) | special | (x.bits & 0x8000u) << 16);
#endif
}

// Rounds to the nearest, halves to even, as PyTorch does.
__device__ __forceinline__ Half to_half(float x) {
#if defined(__CUDACC__)
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return Half{bits};
#else
  const _Float16 y = (_Float16)x;
  Half half;
  __builtin_memcpy(&half.bits, &y, sizeof(y));
  return half;
#endif
}

__device__ __forceinline__ BFloat to_bfloat(float x) {
  const unsigned bits = __float_as_uint(x);
  if (x != x) return BFloat{0x7fc0};
  return BFloat{(unsigned short)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}

// Programmatic dependent launch: the next kernel of the stream may begin once all blocks of this
// one have said so, and waits with wait_for_previous before it touches what earlier kernels write.
__device__ __forceinline__ void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Asks for 128 bytes to be brought near; nobody waits for them.
__device__ __forceinline__ void prefetch(const void* from) {
#if defined(__CUDACC__)
  asm volatile("prefetch.L2 [%0];" ::"l"(from));
#endif
}

// The sum over groups of kLanes neighbouring threads, which all of them get. All threads of a
// warp must call it.
template <int kLanes>
__device__ __forceinline__ float sum_of_lanes(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// The sum over a block of whole warps, which all threads get, added up in one order whatever
// happens. `parts` has a float for each warp; between two uses of it stands a __syncthreads.
__device__ __forceinline__ float sum_of_block(float x, float* parts) {
  const int warps = blockDim.x / kWarp;
  x = sum_of_lanes<kWarp>(x);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
  __syncthreads();
  float total = 0;
  for (int i = 0; i < warps; ++i) total += parts[i];
  return total;
}

// A row's mean, and 1 over its deviation.
struct Moments {
  float mean, scale;
};

// All threads of a block come here, and may go on to use `parts`.
__device__ __forceinline__ Moments moments_of(const float* x, int64 n, float eps, float* parts) {
  float total = 0, squares = 0;
  for (int64 c = threadIdx.x; c < n; c += blockDim.x) total += x[c];
  const float mean = sum_of_block(total, parts) / n;
  for (int64 c = threadIdx.x; c < n; c += blockDim.x) squares += (x[c] - mean) * (x[c] - mean);
  __syncthreads();
  const float scale = 1 / sqrtf(sum_of_block(squares, parts) / n + eps);
  __syncthreads();
  return {mean, scale};
}

// What the inspector asks of one token's step: squares of the new state, of the change made to
// it, and of that change's three parts, of which change = write - fade - erase.
struct Measure {
  static constexpr int kCount = 5;
  float sums[kCount] = {};

  __device__ __forceinline__ void add(float old, float now, float fade, float erase, float write) {
    const float parts[kCount] = {now, now - old, fade, erase, write};
#pragma unroll
    for (int i = 0; i < kCount; ++i) sums[i] += parts[i] * parts[i];
  }

  // Sums over the warp into to[0..4], which the warp has for itself: nobody waits for others.
  __device__ __forceinline__ void store(float* to) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float x = sum_of_lanes<kWarp>(sums[i]);
      if (threadIdx.x % kWarp == 0) to[i] = x;
    }
  }
};
