// A head's (N, N) state in the registers of a block of 4 N threads. Four threads share a line
// (a row, or a column), each with every fourth group of four elements, so that the vectors it
// meets are read from shared memory four at a time and without conflicts.
#pragma once

#include "device.cuh"

constexpr int kLineThreads = 4;

template <int N>
struct Tile {
  static constexpr int kThreads = kLineThreads * N;
  static constexpr int kEach = N / kLineThreads;  // elements of a thread

  __device__ __forceinline__ static int line() { return threadIdx.x / kLineThreads; }
  __device__ __forceinline__ static bool is_first() { return threadIdx.x % kLineThreads == 0; }

  // Where element j of this thread stands in its line.
  __device__ __forceinline__ static int place(int j) {
    return j / 4 * 16 + threadIdx.x % kLineThreads * 4 + j % 4;
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

  __device__ __forceinline__ static float sum(float x) { return sum_of_lanes<kLineThreads>(x); }
};
