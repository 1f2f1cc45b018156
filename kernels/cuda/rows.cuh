// Products row by row: kernels for one conversation, which multiply floats, and for up to
// kMaxTokens, which use tensor cores where there are some.
//
// For one conversation neighbouring threads read neighbouring chunks of 16 bytes of whole rows, 4
// rows at once; of everything that was tried on an H200 this came nearest to its memory's speed.
//
// For more a block makes a few groups of 8 rows; its warps share out the columns. A lane, 4 g + t,
// reads 16 bytes of row g of each group; the t-th share of a chunk of columns. Its first 8 such
// reads are under way before the kernels ahead have finished; each that is used makes room for
// another. Tensor cores multiply with the rows' weights as their second matrix (8 rows), so that the
// first (16) has both parts of the inputs of 8 conversations.
#pragma once

#include "tensor.cuh"
#include "weights.cuh"

constexpr int kRowGroup = 8, kReads = 8, kProductWarps = 8;
constexpr int kVectorRows = 4;
constexpr int kMostRows = kVectorRows * kProductWarps;  // of a block

// Groups of 8 rows that a block makes: formats of few bits use what is read of the inputs, and
// split, more often.
template <int64 kFormat>
constexpr int kRowGroups = kFormat == kInt8 || kFormat == kInt4 ? 2 : 1;

// Weights in 16 bytes.
template <int64 kFormat>
constexpr int kEach = 128 / kBits<kFormat>;

__device__ __forceinline__ int64 bits_of(const Matrix& m) {
  return m.format == kFloat32 ? 32 : m.format == kInt8 ? 8 : m.format == kInt4 ? 4 : 16;
}

// Warps that share a row, for one conversation: as many as have a chunk each.
__device__ __forceinline__ int warps_of_row(const Matrix& m) {
  const int64 chunks = m.columns * bits_of(m) / 128;
  int warps = 1;
  while (warps < kProductWarps && warps * kWarp < chunks) warps *= 2;
  return warps;
}

template <int kTokens>
__device__ __forceinline__ int64 rows_of_block(const Matrix& m) {
  if (kTokens == 1) return kVectorRows * kProductWarps / warps_of_row(m);
  return kRowGroup * (m.format == kInt8 || m.format == kInt4 ? 2 : 1);
}

// 16 bytes of a row, and their scale if they are a group of int4.
struct Chunk {
  unsigned words[4] = {};
  unsigned short scale = 0;
};

template <int64 kFormat>
__device__ __forceinline__ Chunk read_chunk(const Matrix& m, unsigned at, bool is_there) {
  Chunk chunk;
  if (!is_there) return chunk;
  const uint4 x = read_16((const uint4*)m.data + at);
  chunk.words[0] = x.x, chunk.words[1] = x.y, chunk.words[2] = x.z, chunk.words[3] = x.w;
  if constexpr (kFormat == kInt4) chunk.scale = ((const unsigned short*)m.scale)[at];
  return chunk;
}

// Columns p 4 to p 4 + 3 of a chunk. Byte j of int4 has columns j and j + 16.
template <int64 kFormat>
__device__ __forceinline__ void four_of(const Chunk& chunk, int p, float (&w)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (kFormat == kInt4)
      w[i] = half_byte(chunk.words[p % 4], 8 * i + p / 4 * 4);
    else
      w[i] = weight_of<kFormat>(chunk.words, 4 * p + i);
  }
}

__device__ __forceinline__ void read_four(const float* x, bool is_there, float (&v)[4]) {
  const float4 four = is_there ? *(const float4*)x : make_float4(0, 0, 0, 0);
  v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}

// Sums of a few rows' products with one conversation, of which the lanes have shares.
template <int64 kFormat>
struct FloatSums {
  float sums[kVectorRows] = {};

  __device__ __forceinline__ void add(const Chunk (&chunks)[kVectorRows], const float* x) {
    float parts[kVectorRows] = {};
#pragma unroll
    for (int p = 0; p < kEach<kFormat> / 4; ++p) {
      float v[4], w[4];
      read_four(x + 4 * p, true, v);
#pragma unroll
      for (int r = 0; r < kVectorRows; ++r) {
        four_of<kFormat>(chunks[r], p, w);
#pragma unroll
        for (int i = 0; i < 4; ++i) parts[r] += w[i] * v[i];
      }
    }
#pragma unroll
    for (int r = 0; r < kVectorRows; ++r)
      sums[r] += kFormat == kInt4 ? parts[r] * to_float(Half{chunks[r].scale}) : parts[r];
  }
};

// Sums of tensor cores: a lane has rows 2 t and 2 t + 1 of conversation g. What tensor cores add
// up they cut off instead of rounding it, so only a chunk stays with them.
template <int64 kFormat>
struct TensorSums {
  static constexpr int kGroups = kRowGroups<kFormat>;
  float sums[kGroups][2] = {};

  __device__ __forceinline__ void add_four(float (&d)[4], const Split (&v)[4],
                                           const float (&w)[4]) {
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      const unsigned a[4] = {v[i].high, v[i].low, v[i + 1].high, v[i + 1].low};
      if constexpr (kFormat == kFloat32) {
        const Split first = split(w[i]), second = split(w[i + 1]);
        const unsigned low[2] = {first.low, second.low}, high[2] = {first.high, second.high};
        mma_16x8x8(d, a, low);
        mma_16x8x8(d, a, high);
      } else {
        const unsigned b[2] = {__float_as_uint(w[i]), __float_as_uint(w[i + 1])};
        mma_16x8x8(d, a, b);
      }
    }
  }

  __device__ __forceinline__ void add(const Chunk (&chunks)[kGroups], const Rows& x, int tokens,
                                      int column, int columns) {
    const int g = threadIdx.x % kWarp / 4;
    const float* from = x[g < tokens ? g : 0] + column;
    if constexpr (kFormat == kInt4) {
      add_groups(chunks, from, g < tokens, column, columns);
    } else {
      float d[kGroups][4] = {};
#pragma unroll
      for (int p = 0; p < kEach<kFormat> / 4; ++p) {
        float v[4], w[4];
        read_four(from + 4 * p, g < tokens && column < columns, v);
        const Split both[4] = {split(v[0]), split(v[1]), split(v[2]), split(v[3])};
#pragma unroll
        for (int r = 0; r < kGroups; ++r) {
          four_of<kFormat>(chunks[r], p, w);
          add_four(d[r], both, w);
        }
      }
#pragma unroll
      for (int r = 0; r < kGroups; ++r)
        sums[r][0] += d[r][0] + d[r][2], sums[r][1] += d[r][1] + d[r][3];
    }
  }

  // int4: lane t has group t of four neighbouring ones, whose scales differ; words change places
  // so that it has the t-th word of each, and groups follow one another.
  __device__ __forceinline__ void add_groups(const Chunk (&chunks)[kGroups], const float* from,
                                             bool is_there, int column, int columns) {
    const int t = threadIdx.x % 4;
    unsigned words[kGroups][4];
#pragma unroll
    for (int r = 0; r < kGroups; ++r) {
#pragma unroll
      for (int i = 0; i < 4; ++i) words[r][i] = chunks[r].words[i];
#pragma unroll
      for (int step = 1; step < 4; step *= 2)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (i & step) continue;
          unsigned &low = words[r][i], &high = words[r][i + step];
          const unsigned other = __shfl_xor_sync(0xffffffffu, t & step ? low : high, step);
          (t & step ? low : high) = other;
        }
    }
    from -= kGroup * t, column -= kGroup * t;
#pragma unroll
    for (int group = 0; group < 4; ++group) {
      is_there = is_there && column + group * kGroup < columns;
      float d[kGroups][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float v[4];
        read_four(from + group * kGroup + 16 * half + 4 * t, is_there, v);
        const Split both[4] = {split(v[0]), split(v[1]), split(v[2]), split(v[3])};
#pragma unroll
        for (int r = 0; r < kGroups; ++r) {
          float w[4];
#pragma unroll
          for (int i = 0; i < 4; ++i) w[i] = half_byte(words[r][group], 8 * i + 4 * half);
          add_four(d[r], both, w);
        }
      }
#pragma unroll
      for (int r = 0; r < kGroups; ++r)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const unsigned bits =
              __shfl_sync(0xffffffffu, (unsigned)chunks[r].scale, 4 * (2 * t + i) + group);
          sums[r][i] += (d[r][i] + d[r][i + 2]) * to_float(Half{(unsigned short)bits});
        }
    }
  }

  __device__ __forceinline__ void store(float* to) const {
    const int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < kGroups; ++r)
#pragma unroll
      for (int i = 0; i < 2; ++i) to[(g * kGroups + r) * kRowGroup + 2 * t + i] = sums[r][i];
  }
};

// One block's rows. parts: kProductWarps (kTokens, rows).
template <int64 kFormat, int kTokens>
__device__ __forceinline__ void multiply_whole_rows(const Plan& plan, const Step& s,
                                                    const Matrix& m, int64 block, float* parts) {
  constexpr int kGroups = kRowGroups<kFormat>, kAhead = kReads / kGroups / (kGroups > 1 ? 2 : 1);
  constexpr int kRows = kGroups * kRowGroup, kShares = 4 * kProductWarps;
  const int warp = threadIdx.x / kWarp, g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
  // Places are counted in 16 bytes.
  const int width = (int)m.columns / kEach<kFormat>;
  unsigned starts[kGroups];
#pragma unroll
  for (int r = 0; r < kGroups; ++r) {
    const int64 row = block * kRows + r * kRowGroup + g;
    starts[r] = (unsigned)(row < m.rows ? row : m.rows - 1) * width;  // read, not stored
  }
  int first = warp * 4;
  Chunk ahead[kAhead][kGroups];
  const auto read = [&](Chunk(&chunks)[kGroups], int at) {
#pragma unroll
    for (int r = 0; r < kGroups; ++r)
      chunks[r] = read_chunk<kFormat>(m, starts[r] + at, at < width);
  };
#pragma unroll
  for (int u = 0; u < kAhead; ++u) read(ahead[u], first + u * kShares + t);
  wait_for_previous();
  const int tokens = (int)plan.run->B;
  const Rows x = rows_of(plan, s.in[0]);
  TensorSums<kFormat> sums;
  for (; first < width; first += kAhead * kShares) {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      const int at = first + u * kShares;
      if (at >= width) break;  // of the whole warp
      sums.add(ahead[u], x, tokens, (at + t) * kEach<kFormat>, (int)m.columns);
      read(ahead[u], at + kAhead * kShares + t);
    }
  }
  sums.store(parts + warp * kTokens * kRows);
  __syncthreads();
  for (int i = threadIdx.x; i < tokens * kRows; i += kProductWarps * kWarp) {
    const int64 row = block * kRows + i % kRows;
    if (row >= m.rows) continue;
    float y = 0;
#pragma unroll
    for (int w = 0; w < kProductWarps; ++w) y += parts[w * kTokens * kRows + i];
    finish(plan, s, i / kRows, row, kFormat == kInt8 ? y * ((const float*)m.scale)[row] : y);
  }
}

// One block's rows for one conversation. parts: a warp's kVectorRows sums.
template <int64 kFormat>
__device__ __forceinline__ void multiply_vector(const Plan& plan, const Step& s, const Matrix& m,
                                                int64 block, float* parts) {
  const int width = (int)m.columns / kEach<kFormat>, warps = warps_of_row(m);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, group = warp / warps;
  const int groups = kProductWarps / warps;
  const int64 first = (block * groups + group) * kVectorRows;
  unsigned starts[kVectorRows];
#pragma unroll
  for (int r = 0; r < kVectorRows; ++r)
    // What is beyond the last row is read, but not stored.
    starts[r] = (unsigned)(first + r < m.rows ? first + r : m.rows - 1) * width;
  Chunk ahead[kVectorRows];
  const auto read = [&](int at) {
#pragma unroll
    for (int r = 0; r < kVectorRows; ++r)
      ahead[r] = read_chunk<kFormat>(m, starts[r] + at, at < width);
  };
  int at = warp % warps * kWarp + lane;
  read(at);
  wait_for_previous();
  const float* x = rows_of(plan, s.in[0])[0];
  FloatSums<kFormat> sums;
  while (at < width) {
    sums.add(ahead, x + at * kEach<kFormat>);
    at += warps * kWarp;
    read(at);
  }
#pragma unroll
  for (int r = 0; r < kVectorRows; ++r) {
    const float y = sum_of_lanes<kWarp>(sums.sums[r]);
    if (lane == 0) parts[warp * kVectorRows + r] = y;
  }
  __syncthreads();
  const int own = threadIdx.x, of = own / kVectorRows, r = own % kVectorRows;
  const int64 row = (block * groups + of) * kVectorRows + r;
  if (of >= groups || row >= m.rows) return;
  float y = 0;
  for (int w = 0; w < warps; ++w) y += parts[(of * warps + w) * kVectorRows + r];
  finish(plan, s, 0, row, kFormat == kInt8 ? y * ((const float*)m.scale)[row] : y);
}

template <int64 kFormat, int kTokens>
__device__ __forceinline__ void multiply_format(const Plan& plan, const Step& s, int64 block,
                                             float* parts) {
  const Matrix m = matrix_of(s);
  if constexpr (kTokens == 1)
    multiply_vector<kFormat>(plan, s, m, block, parts);
  else if constexpr (TENSOR_CORES)
    multiply_whole_rows<kFormat, kTokens>(plan, s, m, block, parts);
}

// A warp for each row.
template <int kTokens>
__device__ __forceinline__ void multiply_ragged_rows(const Plan& plan, const Step& s, int64 block) {
  const Matrix m = matrix_of(s);
  wait_for_previous();
  const int64 B = plan.run->B, first = block * rows_of_block<kTokens>(m);
  const int64 last = first + rows_of_block<kTokens>(m), end = last < m.rows ? last : m.rows;
  for (int64 row = first + threadIdx.x / kWarp; row < end; row += kProductWarps)
    multiply_row<kTokens>(plan, s, m, row, 0, B);
}

template <int kTokens, bool kIsNotInt4>
__device__ __forceinline__ void multiply_rows(const Plan& plan, const Step& s, const Matrix& m,
                                              int64 block, float* parts) {
  // Rows that do not begin on 16 bytes, and where tensor cores know too little: a warp for each.
  if ((kTokens > 1 && !TENSOR_CORES) || m.columns * bits_of(m) % 128 ||
      (unsigned long long)rows_of(plan, s.in[0]).data % 16) {
    multiply_ragged_rows<kTokens>(plan, s, block);
    return;
  }
  switch (m.format) {
    case kFloat32: multiply_format<kFloat32, kTokens>(plan, s, block, parts); break;
    case kFloat16: multiply_format<kFloat16, kTokens>(plan, s, block, parts); break;
    case kBfloat16: multiply_format<kBfloat16, kTokens>(plan, s, block, parts); break;
    case kInt8: multiply_format<kInt8, kTokens>(plan, s, block, parts); break;
    default:
      if constexpr (!kIsNotInt4) multiply_format<kInt4, kTokens>(plan, s, block, parts);
  }
}
