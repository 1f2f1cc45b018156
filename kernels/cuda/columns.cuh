// Products with inputs of which many are zero: their weights lie by columns, and columns that
// meet a zero in every conversation are never read.
//
// A block makes kTile rows from one of kSplits shares of the columns; its warps take 32 columns in
// turn, a group of int4. Of the blocks that share a tile the last to finish adds up the shares, in
// their order, so that the sum does not depend on who was last.
#pragma once

#include "product.cuh"

constexpr int kTile = 2 * kWarp;  // rows: two for each thread of a warp
constexpr int kSplits = 8;
constexpr int kColumnWarps = 8;

__device__ __forceinline__ int64 tiles_of(const Matrix& m) { return (m.rows + kTile - 1) / kTile; }

// The two weights of column c that belong to this thread; without their scale.
__device__ __forceinline__ void load_two(const Matrix& m, int64 c, int64 row, float& w, float& u) {
  if (m.format == kInt4) {
    const unsigned char byte = ((const unsigned char*)m.data)[c * ((m.rows + 1) / 2) + row / 2];
    w = (float)(byte & 15) - 8, u = (float)(byte >> 4) - 8;
    return;
  }
  const int64 at = c * m.rows + row;
  if (m.rows % 2 == 0 && (m.format == kFloat16 || m.format == kBfloat16)) {
    unpack_pair(*(const unsigned*)((const unsigned short*)m.data + at), m.format == kFloat16, w, u);
  } else {
    w = load_weight(m, at);
    u = row + 1 < m.rows ? load_weight(m, at + 1) : 0;
  }
}

// The scales of this thread's two rows in a group of int4.
__device__ __forceinline__ void load_scales(const Matrix& m, int64 group, int64 row, float& w,
                                            float& u) {
  const Half* scales = (const Half*)m.scale + group * m.rows + row;
  w = to_float(scales[0]);
  u = row + 1 < m.rows ? to_float(scales[1]) : 0;
}

// Adds 32 columns' products with this thread's two rows.
template <int kTokens>
__device__ __forceinline__ void add_columns(const Matrix& m, const Rows& x, int64 tokens,
                                            int64 group, int64 row, float (&sums)[2][kTokens]) {
  const int64 own = group * kGroup + threadIdx.x % kWarp;
  float values[kTokens];
  bool is_read = false;
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    values[t] = t < tokens && own < m.columns ? x[t][own] : 0;
    is_read |= values[t] != 0;  // NaN is read
  }
  float parts[2][kTokens] = {};
  for (unsigned left = __ballot_sync(0xffffffffu, is_read); left; left &= left - 1) {
    const int lane = __ffs(left) - 1;
    float w = 0, u = 0;
    if (row < m.rows) load_two(m, group * kGroup + lane, row, w, u);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      const float v = __shfl_sync(0xffffffffu, values[t], lane);
      parts[0][t] += w * v, parts[1][t] += u * v;
    }
  }
  float w = 1, u = 1;
  if (m.format == kInt4 && row < m.rows) load_scales(m, group, row, w, u);
#pragma unroll
  for (int t = 0; t < kTokens; ++t) sums[0][t] += parts[0][t] * w, sums[1][t] += parts[1][t] * u;
}

// One block's part for up to kTokens conversations. shares: (tiles, kSplits, kMaxTokens, kTile); done: of each tile, how many
// shares are made, 0 before and after.
template <int kTokens>
__device__ void multiply_columns(const Plan& plan, const Step& s, int64 block, int64 tokens,
                                 float* shares, unsigned* done) {
  SHARED(float, parts, kColumnWarps * kTokens * kTile);
  SHARED(unsigned, before, 1);
  const Matrix m = matrix_of(s);
  const Rows x = rows_of(plan, s.in[0]);
  const int64 tile = block / kSplits, split = block % kSplits;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int64 groups = (m.columns + kGroup - 1) / kGroup, row = tile * kTile + 2 * lane;
  float sums[2][kTokens] = {};
  for (int64 g = split * kColumnWarps + warp; g < groups; g += kSplits * kColumnWarps)
    add_columns<kTokens>(m, x, tokens, g, row, sums);
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    parts[(warp * kTokens + t) * kTile + 2 * lane] = sums[0][t];
    parts[(warp * kTokens + t) * kTile + 2 * lane + 1] = sums[1][t];
  }
  __syncthreads();
  float* share = shares + (tile * kSplits + split) * kMaxTokens * kTile;
  for (int i = threadIdx.x; i < kTokens * kTile; i += kColumnWarps * kWarp) {
    float total = 0;
    for (int w = 0; w < kColumnWarps; ++w) total += parts[w * kTokens * kTile + i];
    share[i] = total;
  }
  // The shares are seen by all before the count is.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before[0] = atomicAdd(done + tile, 1u);
  __syncthreads();
  if (before[0] != kSplits - 1) return;
  __threadfence();
  const volatile float* all = shares + tile * kSplits * kMaxTokens * kTile;
  for (int i = threadIdx.x; i < kTokens * kTile; i += kColumnWarps * kWarp) {
    const int64 t = i / kTile, r = tile * kTile + i % kTile;
    if (t >= tokens || r >= m.rows) continue;
    float total = 0;
    for (int k = 0; k < kSplits; ++k) total += all[k * kMaxTokens * kTile + i];
    finish(plan, s, t, r, m.format == kInt8 ? total * ((const float*)m.scale)[r] : total);
  }
  if (threadIdx.x == 0) done[tile] = 0;
}
