// Products of matrices with up to kMaxTokens conversations at a time. Sums are of float, in an
// order that depends on nothing but sizes. What 8 and 4 bits mean: rwkv_core/quantization.py.
#pragma once

#include "plan.cuh"

// As FORMATS in kernels/packed.py, and flags beside it.
enum Format : int64 { kFloat32, kFloat16, kBfloat16, kInt8, kInt4 };
constexpr int64 kFormatMask = 15, kIsAdded = 16, kByColumns = 32;

constexpr int kGroup = 32;     // columns that share an int4 scale
constexpr int kMaxTokens = 8;  // conversations that meet a weight on one reading
constexpr int kAtOnce = 8;     // weights of a row that a thread reads together

// A (rows, columns) weight, row after row: floats, or bytes with a scale for each row, or
// groups of 32 columns in 16 bytes with scales of fp16: byte j has column j in its low half and
// j + 16 in its high one, which mean nibble - 8. By columns it is turned: inputs of zero are then
// not read. There a byte of int4 has the rows 2 j and 2 j + 1, and each group of 32 columns a
// scale of fp16 for every row.
struct Matrix {
  const void *data, *scale;
  int64 rows, columns, format, flags;
};

__device__ __forceinline__ Matrix matrix_of(const Step& s) {
  return {s.data[0], s.data[1], s.number[0], s.number[1], s.number[2] & kFormatMask, s.number[2]};
}

__device__ __forceinline__ void unpack_pair(unsigned two, bool is_half, float& low, float& high) {
  const unsigned short first = (unsigned short)two, second = (unsigned short)(two >> 16);
  low = is_half ? to_float(Half{first}) : to_float(BFloat{first});
  high = is_half ? to_float(Half{second}) : to_float(BFloat{second});
}

// kAtOnce weights from element `at` on, a multiple of kAtOnce; without an int8 scale.
__device__ __forceinline__ void load_weights(const Matrix& m, int64 at, float (&w)[kAtOnce]) {
  if (m.format == kFloat32) {
    const float4* from = (const float4*)((const float*)m.data + at);
    const float4 a = from[0], b = from[1];
    w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w, w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
  } else if (m.format == kInt8) {
    const uint2 eight = *(const uint2*)((const signed char*)m.data + at);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      w[i] = (float)(signed char)(eight.x >> 8 * i);
      w[4 + i] = (float)(signed char)(eight.y >> 8 * i);
    }
  } else {
    const uint4 eight = *(const uint4*)((const unsigned short*)m.data + at);
    const bool is_half = m.format == kFloat16;
    unpack_pair(eight.x, is_half, w[0], w[1]);
    unpack_pair(eight.y, is_half, w[2], w[3]);
    unpack_pair(eight.z, is_half, w[4], w[5]);
    unpack_pair(eight.w, is_half, w[6], w[7]);
  }
}

// One weight of any format but int4.
__device__ __forceinline__ float load_weight(const Matrix& m, int64 at) {
  switch (m.format) {
    case kFloat32: return ((const float*)m.data)[at];
    case kFloat16: return to_float(((const Half*)m.data)[at]);
    case kBfloat16: return to_float(((const BFloat*)m.data)[at]);
    default: return ((const signed char*)m.data)[at];
  }
}

// Adds a row's product with int4 weights; a thread has 8 columns of each of its groups.
template <int kTokens>
__device__ __forceinline__ void add_int4(const Matrix& m, int64 row, const Rows& x, int64 first,
                                         int64 tokens, float (&sums)[kTokens]) {
  const int lane = threadIdx.x % kWarp, quarter = lane % 4;
  const int64 groups = (m.columns + kGroup - 1) / kGroup;
  for (int64 g = lane / 4; g < groups; g += kWarp / 4) {
    const unsigned bytes = ((const unsigned*)m.data)[(row * groups + g) * 4 + quarter];
    const float scale = to_float(((const Half*)m.scale)[row * groups + g]);
    const int64 c = g * kGroup + 4 * quarter;
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= tokens) break;
      const float* v = x[first + t];
      float part = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const unsigned byte = bytes >> 8 * i & 255;
        if (c + i < m.columns) part += ((float)(byte & 15) - 8) * v[c + i];
        if (c + 16 + i < m.columns) part += ((float)(byte >> 4) - 8) * v[c + 16 + i];
      }
      sums[t] += part * scale;
    }
  }
}

template <int kTokens>
__device__ __forceinline__ void add_floats(const Matrix& m, int64 row, const Rows& x, int64 first,
                                           int64 tokens, float (&sums)[kTokens]) {
  const int lane = threadIdx.x % kWarp;
  const int64 start = row * m.columns;
  // Rows of values are wide enough apart, and begin on 16 bytes unless they are parts of others.
  const bool is_aligned = m.columns % kAtOnce == 0 && (unsigned long long)x.data % 16 == 0;
  if (!is_aligned) {
    for (int64 c = lane; c < m.columns; c += kWarp) {
      const float w = load_weight(m, start + c);
#pragma unroll
      for (int t = 0; t < kTokens; ++t)
        if (t < tokens) sums[t] += w * x[first + t][c];
    }
    return;
  }
  // One conversation's work is little: two reads are under way at once.
  constexpr int kReads = kTokens == 1 ? 2 : 1;
#pragma unroll kReads
  for (int64 c = lane * kAtOnce; c < m.columns; c += kWarp * kAtOnce) {
    float w[kAtOnce];
    load_weights(m, start + c, w);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= tokens) break;
      const float4* v = (const float4*)(x[first + t] + c);
      const float4 a = v[0], b = v[1];
      sums[t] += w[0] * a.x + w[1] * a.y + w[2] * a.z + w[3] * a.w;
      sums[t] += w[4] * b.x + w[5] * b.y + w[6] * b.z + w[7] * b.w;
    }
  }
}

// What is done with a product's element before it goes to its place.
__device__ __forceinline__ void finish(const Plan& plan, const Step& s, int64 token, int64 row,
                                       float y) {
  const Rows factor = rows_of(plan, s.in[1]);
  y = activate(s.number[3], y);
  if (factor.data) y *= factor[token][row];
  if (s.out < 0) {
    plan.run->logits[token * s.number[0] + row] = y;
    return;
  }
  float* to = rows_of(plan, s.out)[token] + row;
  *to = s.number[2] & kIsAdded ? *to + y : y;
}

// A warp multiplies one row with all conversations of the run, kTokens at a time.
template <int kTokens>
__device__ __forceinline__ void multiply_row(const Plan& plan, const Step& s, const Matrix& m,
                                             int64 row, int64 begin, int64 end) {
  const Rows x = rows_of(plan, s.in[0]);
  const int lane = threadIdx.x % kWarp;
  for (int64 first = begin; first < end; first += kTokens) {
    const int64 tokens = end - first < kTokens ? end - first : kTokens;
    float sums[kTokens] = {};
    if (m.format == kInt4)
      add_int4<kTokens>(m, row, x, first, tokens, sums);
    else
      add_floats<kTokens>(m, row, x, first, tokens, sums);
    const float scale = m.format == kInt8 ? ((const float*)m.scale)[row] : 1;
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      const float y = sum_of_lanes<kWarp>(sums[t]) * scale;
      if (lane == 0 && t < tokens) finish(plan, s, first + t, row, y);
    }
  }
}
