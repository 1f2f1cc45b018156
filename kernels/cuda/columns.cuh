// Products with inputs of which many are zero: their weights lie by columns, and columns that
// meet a zero in every conversation are never read.
//
// A block makes a tile of rows from one of several shares of the columns; its warps take 32 columns
// in turn, a group of int4. Of those that are read, for some conversations eight at a time, lane
// 4 g + t reads 8 rows, from 8 g on, of the t-th and of the (t + 4)-th. Of the blocks that share a
// tile the last to finish adds up the shares, in their order, so that the sum does not depend on
// who was last.
#pragma once

#include "tensor.cuh"
#include "weights.cuh"

// Rows of a tile: each lane has 8 in each of so many parts.
constexpr int kHalves = 1, kTile = kHalves * 8 * 8;
constexpr int kMostSplits = 32;
constexpr int kColumnWarps = 8;

// For one conversation: 8 for each lane.
constexpr int kVectorTile = 8 * kWarp;
template <int kTokens>
constexpr int kTileRows = kTokens == 1 ? kVectorTile : kTile;

// Into how many shares columns go: each has work for all warps.
__device__ __forceinline__ int64 splits_of(const Matrix& m) {
  const int64 most = (m.columns + kColumnWarps * kGroup - 1) / (kColumnWarps * kGroup);
  return most < kMostSplits ? most : kMostSplits;
}

// Eight rows of a column.
template <int64 kFormat>
struct EightRows {
  static constexpr int kWords = kBits<kFormat> / 4;
  unsigned words[kWords] = {};

  __device__ __forceinline__ float operator[](int i) const { return weight_of<kFormat>(words, i); }

  // From an even row on; none if the column is -1.
  __device__ __forceinline__ void read(const Matrix& m, int64 column, int64 row) {
    if (column < 0 || row >= m.rows) return;
    if (m.rows % 8) {
      read_ragged(m, column, row);
      return;
    }
    const char* from = (const char*)m.data + (column * m.rows + row) * kBits<kFormat> / 8;
    if constexpr (kWords >= 4) {
#pragma unroll
      for (int i = 0; i < kWords; i += 4) {
        const uint4 x = read_16(from + 4 * i);
        words[i] = x.x, words[i + 1] = x.y, words[i + 2] = x.z, words[i + 3] = x.w;
      }
    } else if constexpr (kWords == 2) {
      const uint2 x = read_8(from);
      words[0] = x.x, words[1] = x.y;
    } else {
      words[0] = *(const unsigned*)from;
    }
  }

  // Columns begin anywhere, and end with the rows; those of int4 with whole bytes.
  __device__ __forceinline__ void read_ragged(const Matrix& m, int64 column, int64 row) {
    constexpr int kBytes = kFormat == kInt4 ? 1 : kBits<kFormat> / 8;
    const int64 height = kFormat == kInt4 ? (m.rows + 1) / 2 : m.rows;
    const int64 first = kFormat == kInt4 ? row / 2 : row;
#pragma unroll
    for (int i = 0; i < 4 * kWords / kBytes; ++i) {
      if (first + i >= height) break;
      const int64 at = column * height + first + i;
      if constexpr (kBytes == 4)
        words[i] = ((const unsigned*)m.data)[at];
      else if constexpr (kBytes == 2)
        words[i / 2] |= (unsigned)((const unsigned short*)m.data)[at] << 16 * (i % 2);
      else
        words[i / 4] |= (unsigned)((const unsigned char*)m.data)[at] << 8 * (i % 4);
    }
  }
};

// What a row's sum over a group is multiplied with.
template <int64 kFormat>
__device__ __forceinline__ float scale_of(const Matrix& m, int64 group, int64 row) {
  if (kFormat != kInt4 || row >= m.rows) return 1;
  return to_float(((const Half*)m.scale)[group * m.rows + row]);
}

// Sums of floats for one of some conversations, where there are no tensor cores: lanes of one g
// have shares of their rows.
template <int64 kFormat>
struct ColumnSums {
  static constexpr int kTokens = 1;
  float sums[kHalves][8] = {}, parts[kHalves][8] = {};

  __device__ __forceinline__ void add(const EightRows<kFormat> (&one)[kHalves],
                                      const EightRows<kFormat> (&other)[kHalves], float v,
                                      float u) {
    float(&to)[kHalves][8] = kFormat == kInt4 ? parts : sums;
#pragma unroll
    for (int h = 0; h < kHalves; ++h)
#pragma unroll
      for (int i = 0; i < 8; ++i) to[h][i] += one[h][i] * v + other[h][i] * u;
  }

  __device__ __forceinline__ void end_group(const Matrix& m, int64 group, int64 first) {
    if constexpr (kFormat == kInt4) {
      const int g = threadIdx.x % kWarp / 4;
#pragma unroll
      for (int h = 0; h < kHalves; ++h)
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          sums[h][i] += parts[h][i] * scale_of<kFormat>(m, group, first + 64 * h + 8 * g + i);
          parts[h][i] = 0;
        }
    }
  }

  // To a warp's (kTile).
  __device__ __forceinline__ void store(float* to) const {
    const int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int h = 0; h < kHalves; ++h)
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float y = sum_of_lanes<4>(sums[h][i]);
        if (i % 4 == t) to[64 * h + 8 * g + i] = y;
      }
  }
};

// Sums of tensor cores, whose second matrix has the i-th of each lane's 8 rows: a lane gets rows
// 16 t + i and 16 t + 8 + i of conversation g.
template <int64 kFormat>
struct TensorColumnSums {
  static constexpr int kTokens = kMaxTokens;
  float sums[kHalves][8][2] = {}, parts[kHalves][8][2] = {};

  __device__ __forceinline__ void add(const EightRows<kFormat> (&one)[kHalves],
                                      const EightRows<kFormat> (&other)[kHalves], float v,
                                      float u) {
    float(&to)[kHalves][8][2] = kFormat == kInt4 ? parts : sums;
    const Split first = split(v), second = split(u);
    const unsigned a[4] = {first.high, first.low, second.high, second.low};
#pragma unroll
    for (int h = 0; h < kHalves; ++h)
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float d[4] = {};
        if constexpr (kFormat == kFloat32) {
          const Split w = split(one[h][i]), x = split(other[h][i]);
          const unsigned low[2] = {w.low, x.low}, high[2] = {w.high, x.high};
          mma_16x8x8(d, a, low);
          mma_16x8x8(d, a, high);
        } else {
          const unsigned b[2] = {__float_as_uint(one[h][i]), __float_as_uint(other[h][i])};
          mma_16x8x8(d, a, b);
        }
        to[h][i][0] += d[0] + d[2], to[h][i][1] += d[1] + d[3];
      }
  }

  __device__ __forceinline__ void end_group(const Matrix& m, int64 group, int64 first) {
    if constexpr (kFormat == kInt4) {
      const int t = threadIdx.x % 4;
#pragma unroll
      for (int n = 0; n < kHalves * 16; ++n) {
        const int h = n / 16, i = n / 2 % 8, j = n % 2;
        const int64 row = first + 64 * h + 16 * t + 8 * j + i;
        sums[h][i][j] += parts[h][i][j] * scale_of<kFormat>(m, group, row);
        parts[h][i][j] = 0;
      }
    }
  }

  // To a warp's (kTokens, kTile).
  __device__ __forceinline__ void store(float* to) const {
    const int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < kHalves * 16; ++n) {
      const int h = n / 16, i = n / 2 % 8, j = n % 2;
      to[g * kTile + 64 * h + 16 * t + 8 * j + i] = sums[h][i][j];
    }
  }
};

// A warp's sums over its columns in a share. order: room for a warp's kWarp numbers.
template <int64 kFormat, class Sums>
__device__ __forceinline__ void add_columns(const Matrix& m, const Rows& x, int tokens,
                                            int64 first, int64 split, int* order, float* parts) {
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  const int groups = (int)(m.columns + kGroup - 1) / kGroup;
  const int step = (int)splits_of(m) * kColumnWarps;
  const int token = Sums::kTokens == 1 ? 0 : g;
  Sums sums;
  for (int group = (int)split * kColumnWarps + warp; group < groups; group += step) {
    const int own = group * kGroup + lane;
    bool is_read = false;
#pragma unroll 1
    for (int i = 0; i < tokens; ++i)
      if (own < m.columns) is_read |= x[i][own] != 0;  // NaN is read
    const unsigned read = __ballot_sync(0xffffffffu, is_read);
    const int count = __popc(read);
    __syncwarp();
    if (is_read) order[__popc(read & ((1u << lane) - 1))] = lane;
    __syncwarp();
    for (int i = 0; i < count; i += 8) {
      EightRows<kFormat> w[2][kHalves];
      float v[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int place = i + 4 * j + t;
        const int column = place < count ? group * kGroup + order[place] : -1;
#pragma unroll
        for (int h = 0; h < kHalves; ++h) w[j][h].read(m, column, first + 64 * h + 8 * g);
        v[j] = column >= 0 && token < tokens ? x[token][column] : 0;
      }
      sums.add(w[0], w[1], v[0], v[1]);
    }
    sums.end_group(m, group, first);
  }
  sums.store(parts);
}

// A warp's sums over its columns in a share, for one conversation: kVectorTile rows, 8 a lane, so
// that whole pieces of columns are read, some of them at once.
template <int64 kFormat>
__device__ __forceinline__ void add_vector(const Matrix& m, const float* x, int64 first,
                                           int64 split, float* to) {
  constexpr int kAtATime = kFormat == kFloat32 ? 4 : 8;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int groups = (int)(m.columns + kGroup - 1) / kGroup;
  const int step = (int)splits_of(m) * kColumnWarps;
  const int64 row = first + 8 * lane;
  float sums[8] = {};
  const auto input = [&](int group) {
    const int64 own = (int64)group * kGroup + lane;
    return group < groups && own < m.columns ? x[own] : 0.0f;
  };
  int group = (int)split * kColumnWarps + warp;
  float next = input(group);
  for (; group < groups; group += step) {
    const float v = next;
    next = input(group + step);
    float parts[8] = {};
    for (unsigned left = __ballot_sync(0xffffffffu, v != 0); left;) {  // NaN is read
      EightRows<kFormat> w[kAtATime];
      float u[kAtATime];
#pragma unroll
      for (int j = 0; j < kAtATime; ++j) {
        const int from = __ffs(left) - 1;  // -1: there are no more
        left &= left - 1;
        u[j] = __shfl_sync(0xffffffffu, v, from < 0 ? 0 : from);
        w[j].read(m, from < 0 ? -1 : (int64)group * kGroup + from, row);
        if (from < 0) u[j] = 0;
      }
#pragma unroll
      for (int j = 0; j < kAtATime; ++j)
#pragma unroll
        for (int i = 0; i < 8; ++i) parts[i] += w[j][i] * u[j];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i] += parts[i] * scale_of<kFormat>(m, group, row + i);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) to[8 * lane + i] = sums[i];
}

// parts: of this warp (kTokens, kTile), which become its sums.
template <int64 kFormat, int kTokens>
__device__ __forceinline__ void add_format(const Plan& plan, const Step& s, int tokens, int64 first,
                                           int64 split, int* order, float* parts) {
  const Matrix m = matrix_of(s);
  const Rows x = rows_of(plan, s.in[0]);
  if constexpr (kTokens == 1) {
    add_vector<kFormat>(m, x[0], first, split, parts);
  } else if constexpr (TENSOR_CORES) {
    add_columns<kFormat, TensorColumnSums<kFormat>>(m, x, tokens, first, split, order, parts);
  } else {
    for (int t = 0; t < kTokens; ++t) {
      const Rows one{x[t < tokens ? t : 0], x.ld, x.size};
      add_columns<kFormat, ColumnSums<kFormat>>(m, one, 1, first, split, order, parts + t * kTile);
    }
  }
}

// One block's part for up to kTokens conversations. shares: (tiles, kMostSplits, kMaxTokens,
// kTile); done: of each tile, how many shares are made, 0 before and after. parts: kColumnWarps
// (kTokens, kTile).
template <int kTokens, bool kIsNotInt4>
__device__ __forceinline__ void multiply_columns(const Plan& plan, const Step& s, const Matrix& m,
                                                 int64 block, float* parts, float* shares,
                                                 unsigned* done) {
  SHARED(int, order, kColumnWarps * kWarp);
  SHARED(unsigned, before, 1);
  wait_for_previous();
  constexpr int kRows = kTileRows<kTokens>;
  const int tokens = kTokens == 1 ? 1 : (int)plan.run->B;
  const int splits = (int)splits_of(m), warp = threadIdx.x / kWarp;
  const int64 tile = block / splits, split = block % splits, first = tile * kRows;
  int* own = order + warp * kWarp;
  float* to = parts + warp * kTokens * kRows;
  switch (m.format) {
    case kFloat32: add_format<kFloat32, kTokens>(plan, s, tokens, first, split, own, to); break;
    case kFloat16: add_format<kFloat16, kTokens>(plan, s, tokens, first, split, own, to); break;
    case kBfloat16: add_format<kBfloat16, kTokens>(plan, s, tokens, first, split, own, to); break;
    case kInt8: add_format<kInt8, kTokens>(plan, s, tokens, first, split, own, to); break;
    default:
      if constexpr (!kIsNotInt4)
        add_format<kInt4, kTokens>(plan, s, tokens, first, split, own, to);
  }
  __syncthreads();
  float* share = shares + (tile * kMostSplits + split) * kMaxTokens * kTile;
  for (int i = threadIdx.x; i < tokens * kRows; i += kColumnWarps * kWarp) {
    float total = 0;
#pragma unroll
    for (int w = 0; w < kColumnWarps; ++w) total += parts[w * kTokens * kRows + i];
    share[i] = total;
  }
  // The shares are seen by all before the count is.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before[0] = atomicAdd(done + tile, 1u);
  __syncthreads();
  if (before[0] != splits - 1) return;
  __threadfence();
  const volatile float* all = shares + tile * kMostSplits * kMaxTokens * kTile;
  for (int i = threadIdx.x; i < tokens * kRows; i += kColumnWarps * kWarp) {
    const int64 row = first + i % kRows;
    if (row >= m.rows) continue;
    float total = 0;
#pragma unroll 8
    for (int k = 0; k < splits; ++k) total += all[k * kMaxTokens * kTile + i];
    if (m.format == kInt8) total *= ((const float*)m.scale)[row];
    finish(plan, s, i / kRows, row, total);
  }
  if (threadIdx.x == 0) done[tile] = 0;
}
