// Tensor cores, where there are such for tf32: floats of which the first 19 bits are seen. A float
// goes in as two of those, which together mean it but for 2^-22 of it; fp16, bf16, int8 and int4
// are exact in one. Unlike with inputs of fp16 nothing can overflow or vanish.
#pragma once

#include "device.cuh"

#ifndef TENSOR_CORES
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define TENSOR_CORES 0
#else
#define TENSOR_CORES 1
#endif
#endif

// A float in two parts.
struct Split {
  unsigned high, low;
};

__device__ __forceinline__ Split split(float x) {
  const unsigned high = __float_as_uint(x) & 0xffffe000u;
  // Rounded: half of the last bit that is seen is added, and the rest is not seen.
  return {high, __float_as_uint(x - __uint_as_float(high)) + 0x1000u};
}

// d += a b, of (16, 8) and (8, 8) numbers. A lane, 4 g + t, has of a the elements (g, t),
// (g + 8, t), (g, t + 4), (g + 8, t + 4); of b (t, g), (t + 4, g); of d (g, 2 t), (g, 2 t + 1),
// (g + 8, 2 t), (g + 8, 2 t + 1).
__device__ __forceinline__ void mma_16x8x8(float (&d)[4], const unsigned (&a)[4],
                                           const unsigned (&b)[2]) {
#if !defined(__CUDACC__)
  emulator::mma_tf32(d, a, b);
#elif TENSOR_CORES
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
