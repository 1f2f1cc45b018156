// Weights as they come from memory, 16 bytes at a time, and as floats; all by format.
#pragma once

#include "product.cuh"

// Bytes that are read once and leave the cache to the inputs. Such reads stay before a wait that
// they stand before.
__device__ __forceinline__ uint4 read_16(const void* from) {
#if defined(__CUDACC__)
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
#else
  return *(const uint4*)from;
#endif
}
__device__ __forceinline__ uint2 read_8(const void* from) {
#if defined(__CUDACC__)
  uint2 x;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(x.x), "=r"(x.y)
               : "l"(from));
  return x;
#else
  return *(const uint2*)from;
#endif
}

template <int64 kFormat>
constexpr int kBits = kFormat == kFloat32 ? 32 : kFormat == kInt8 ? 8 : kFormat == kInt4 ? 4 : 16;

// The half byte at a bit of a word, less 8: placed in the mantissa of 2^23, whose weight then
// leaves exactly. In the highest places it would touch the exponent, and so moves first.
__device__ __forceinline__ float half_byte(unsigned word, int bit) {
  const int place = bit > 16 ? bit - 12 : bit;
  if (bit > 16) word >>= 12;
  const float moved = __uint_as_float((word & 15u << place) | 0x4b000000u);
  return moved * (1.0f / (1 << place)) - (float)((1 << (23 - place)) + 8);
}

// A byte of a word, which has a sign: likewise.
__device__ __forceinline__ float byte_of(unsigned word, int i) {
  return __uint_as_float(__byte_perm(word ^ 0x80808080u, 0x4b000000u, 0x7440u | i)) - 8388736.0f;
}

// The i-th of neighbouring weights, without its scale; i is known when this is compiled.
template <int64 kFormat>
__device__ __forceinline__ float weight_of(const unsigned* words, int i) {
  if constexpr (kFormat == kFloat32) {
    return __uint_as_float(words[i]);
  } else if constexpr (kFormat == kInt8) {
    return byte_of(words[i / 4], i % 4);
  } else if constexpr (kFormat == kInt4) {
    return half_byte(words[i / 8], i % 8 * 4);
  } else {
    const unsigned short bits = (unsigned short)(words[i / 2] >> 16 * (i % 2));
    if constexpr (kFormat == kFloat16) return to_float(Half{bits});
    return to_float(BFloat{bits});
  }
}
