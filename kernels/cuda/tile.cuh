// Rows or columns of a head's (N, N) state in a block's registers. Several threads share a line (a
// row, or a column), each with every so many-th group of four elements, so that the vectors it
// meets are read from shared memory four at a time. They are the same lane of parts of a warp:
// neighbours then read one place, which costs half of what they cost at places side by side.
#pragma once

#include "device.cuh"

// Lines of a block that goes over many tokens. Lines need nothing of each other, and a head in
// several blocks has more multiprocessors, which read their shared memory at once.
constexpr int kBlockLines = 16;

// A block has a head's lines from kLines blockIdx.y on, or all of them; kParts threads have a line.
template <int N, int kLines = N, int kParts = 4>
struct Tile {
  static constexpr int kThreads = kParts * kLines, kWarpLines = kWarp / kParts;
  static constexpr int kEach = N / kParts;  // elements of a thread
  static_assert(kEach % 4 == 0 && kThreads % kWarp == 0, "whole groups and whole warps");

  __device__ __forceinline__ static int line() {
    const int mine = threadIdx.x / kWarp * kWarpLines + threadIdx.x % kWarpLines;
    return kLines < N ? blockIdx.y * kLines + mine : mine;
  }
  __device__ __forceinline__ static int which_part() { return threadIdx.x % kWarp / kWarpLines; }
  __device__ __forceinline__ static bool is_first() { return which_part() == 0; }

  // Where element j of this thread stands in its line.
  __device__ __forceinline__ static int place(int j) {
    return j / 4 * 4 * kParts + which_part() * 4 + j % 4;
  }

  // Reads this thread's part of a vector of N floats on a 16-byte boundary.
  __device__ __forceinline__ static void part(const float* vector, float (&to)[kEach]) {
#pragma unroll
    for (int j = 0; j < kEach; j += 4) {
      const float4 x = *(const float4*)(vector + place(j));
      to[j] = x.x, to[j + 1] = x.y, to[j + 2] = x.z, to[j + 3] = x.w;
    }
  }

  __device__ __forceinline__ static void store(const float (&from)[kEach], float* vector) {
#pragma unroll
    for (int j = 0; j < kEach; j += 4)
      *(float4*)(vector + place(j)) = make_float4(from[j], from[j + 1], from[j + 2], from[j + 3]);
  }

  // This thread's part of row line() of a matrix.
  __device__ __forceinline__ static void load_row(const float* matrix, float (&to)[kEach]) {
    part(matrix + line() * N, to);
  }

  __device__ __forceinline__ static void store_row(const float (&from)[kEach], float* matrix) {
    store(from, matrix + line() * N);
  }

  // This thread's part of column line() of a matrix.
  __device__ __forceinline__ static void load_column(const float* matrix, float (&to)[kEach]) {
#pragma unroll
    for (int j = 0; j < kEach; ++j) to[j] = matrix[place(j) * N + line()];
  }

  // A line's sum, which all its threads get.
  __device__ __forceinline__ static float sum(float x) {
#pragma unroll
    for (int step = kWarp / 2; step >= kWarpLines; step /= 2)
      x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
  }

  // Sums of four numbers at once: part i of the line gets the (i % 4)th, by half the exchanges.
  __device__ __forceinline__ static float sum_of_four(float a, float b, float c, float d) {
    const bool is_odd = which_part() & 1, is_late = which_part() & 2;
    float x = is_late ? c : a, y = is_late ? d : b;
    x += __shfl_xor_sync(0xffffffffu, is_late ? a : c, 2 * kWarpLines);
    y += __shfl_xor_sync(0xffffffffu, is_late ? b : d, 2 * kWarpLines);
    float z = (is_odd ? y : x) + __shfl_xor_sync(0xffffffffu, is_odd ? x : y, kWarpLines);
#pragma unroll
    for (int step = 4 * kWarpLines; step < kWarp; step *= 2)
      z += __shfl_xor_sync(0xffffffffu, z, step);
    return z;
  }

  // This thread's share of a line's product with a vector: four sums side by side, as each waits
  // for its last addition.
  __device__ __forceinline__ static float share(const float (&x)[kEach], const float (&y)[kEach]) {
    float sums[4] = {};
#pragma unroll
    for (int j = 0; j < kEach; ++j) sums[j % 4] += x[j] * y[j];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

  __device__ __forceinline__ static float dot(const float (&x)[kEach], const float (&y)[kEach]) {
    return sum(share(x, y));
  }
};
