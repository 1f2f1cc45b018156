// Runs a plan's phases, one launch for each; kernels/cuda/program.py says in which order. A phase
// is interpreted: all threads of a block go through its steps together, so a few launches a layer
// do the work of some forty small kernels, for every generation.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128; 64 for models without heads.

#include "columns.cuh"
#include "wkv4.cuh"
#include "wkv6.cuh"
#include "wkv7.cuh"

namespace {

constexpr int N = HEAD_SIZE;
constexpr int kBlockThreads = Tile<N>::kThreads;
constexpr int kMaxThreads = 1024, kProductThreads = kColumnWarps * kWarp;

// The place of a head's state, before or after.
__device__ __forceinline__ int64 state_at(const Plan& plan, int64 layer, int64 b) {
  return (layer * plan.run->B + b) * plan.wkv_size;
}

__device__ void embed(const Plan& plan, const Step& s, int64 row, float* to) {
  const Matrix table{s.data[0], nullptr, 0, s.number[1], s.number[0], 0};
  const int64 at = plan.run->ids[row] * table.columns;
  for (int64 c = threadIdx.x; c < table.columns; c += blockDim.x) to[c] = load_weight(table, at + c);
}

__device__ void layer_norm(const Step& s, const float* x, float* to, int64 n, float* parts) {
  float total = 0;
  for (int64 c = threadIdx.x; c < n; c += blockDim.x) total += x[c];
  const float mean = sum_of_block(total, parts) / n;
  float squares = 0;
  for (int64 c = threadIdx.x; c < n; c += blockDim.x) squares += (x[c] - mean) * (x[c] - mean);
  __syncthreads();
  const float scale = 1 / sqrtf(sum_of_block(squares, parts) / n + (float)s.value);
  const float *weight = floats(s, 0), *bias = floats(s, 1);
  for (int64 c = threadIdx.x; c < n; c += blockDim.x)
    to[c] = (x[c] - mean) * scale * weight[c] + bias[c];
}

// dx = (xn of the token before, which the state holds) - xn, which the state gets.
__device__ void shift(const Plan& plan, const Step& s, int64 row, const float* xn, float* to) {
  const int64 which = s.number[1], at = (s.number[0] * plan.run->B + row) * plan.channels;
  const float* before = plan.run->shift_before[which] + at;
  float* after = plan.run->shift_after[which] + at;
  for (int64 c = threadIdx.x; c < plan.channels; c += blockDim.x) {
    const float now = xn[c];
    to[c] = before[c] - now;
    after[c] = now;
  }
}

// to[j] = sum over i of a[i] b[i][j].
__device__ void row_product(const float* a, const float* b, float* to, int64 n) {
  for (int64 j = threadIdx.x; j < n; j += blockDim.x) {
    float total = 0;
    for (int64 i = 0; i < n; ++i) total += a[i] * b[i * n + j];
    to[j] = total;
  }
}

__device__ void row_step(const Plan& plan, const Step& s, int64 row, float* parts) {
  const Rows out = rows_of(plan, s.out);
  const Rows in[3] = {rows_of(plan, s.in[0]), rows_of(plan, s.in[1]), rows_of(plan, s.in[2])};
  switch (s.kind) {
    case kEmbed: embed(plan, s, row, out[row]); break;
    case kLayerNorm: layer_norm(s, in[0][row], out[row], out.size, parts); break;
    case kShift: shift(plan, s, row, in[0][row], out[row]); break;
    case kRowProduct: row_product(in[0][row], in[1][row], out[row], out.size); break;
    case kNonzero: break;  // products by columns look themselves
    default:
      for (int64 c = threadIdx.x; c < out.size; c += blockDim.x) out[row][c] = element(s, in, row, c);
  }
}

// Sums over the block's head; threads beyond N give nothing.
__device__ __forceinline__ float sum_of_head(float x, float* parts) {
  const float total = sum_of_block(threadIdx.x < N ? x : 0, parts);
  __syncthreads();
  return total;
}

__device__ void head_step(const Plan& plan, const Step& s, const Rows& out, int64 row, int64 h,
                          float* parts) {
  const bool is_channel = threadIdx.x < N;
  const int64 c = h + threadIdx.x % N;
  const float x = rows_of(plan, s.in[0])[row][c];
  float y;
  if (s.kind == kNormalize) {
    const float length = sqrtf(sum_of_head(x * x, parts));
    y = x / (length < 1e-12f ? 1e-12f : length);
  } else if (s.kind == kGroupNorm) {
    const float mean = sum_of_head(x, parts) / N, d = x - mean;
    const float scale = 1 / sqrtf(sum_of_head(d * d, parts) / N + (float)s.value);
    y = d * scale * floats(s, 0)[c] + floats(s, 1)[c];
  } else {  // kBonus: x + (r . (weight k)) v
    const float r = rows_of(plan, s.in[1])[row][c], k = rows_of(plan, s.in[2])[row][c];
    const float bonus = sum_of_head(r * k * floats(s, 0)[c], parts);
    y = x + bonus * rows_of(plan, s.in[3])[row][c];
  }
  if (is_channel) out[row][c] = y;
}

__device__ void wkv7_step(const Plan& plan, const Step& s, const Rows& out, int64 row, int64 h,
                          float* token) {
  using Head = Wkv7<N>;
  const int64 at = state_at(plan, s.number[0], row) + h * N;
  float S[Head::kEach], forgotten;
  Head::load_row(plan.run->wkv_before + at, S);
  for (int i = threadIdx.x; i < kWkv7Vectors * N; i += kBlockThreads) {
    const float x = rows_of(plan, s.in[i / N])[row][h + i % N];
    token[i] = i / N == kW ? expf(x) : x;
  }
  __syncthreads();
  Measure measure;
  const float y = Head::template step<false>(S, token, forgotten, measure);
  if (Head::is_first()) out[row][h + Head::line()] = y;
  Head::store_row(S, plan.run->wkv_after + at);
}

__device__ void wkv6_step(const Plan& plan, const Step& s, const Rows& out, int64 row, int64 h,
                          float* token) {
  using Head = Wkv6<N>;
  const int64 at = state_at(plan, s.number[0], row) + h * N;
  float S[Head::kEach], u[Head::kEach];
  Head::load_row(plan.run->wkv_before + at, S);
  const int which = threadIdx.x / N, i = threadIdx.x % N;
  // The decay is a value, or a constant.
  const float* from = s.in[which] < 0 ? floats(s, 1) : rows_of(plan, s.in[which])[row];
  token[threadIdx.x] = which == kDecay ? expf(from[h + i]) : from[h + i];
#pragma unroll
  for (int j = 0; j < Head::kEach; ++j) u[j] = floats(s, 0)[h + Head::place(j)];
  __syncthreads();
  Measure measure;
  const float y = Head::template step<false>(S, u, token, measure);
  if (Head::is_first()) out[row][h + Head::line()] = y;
  Head::store_row(S, plan.run->wkv_after + at);
}

__device__ void wkv4_step(const Plan& plan, const Step& s, const Rows& out, int64 row,
                          int64 first) {
  const int64 C = plan.channels, c = first + threadIdx.x;
  if (threadIdx.x >= N || c >= C) return;
  const int64 at = state_at(plan, s.number[0], row) + c;
  const float* from = plan.run->wkv_before + at;
  float* to = plan.run->wkv_after + at;
  Wkv4 m{from[0], from[C], from[2 * C]};
  const float k = rows_of(plan, s.in[0])[row][c], v = rows_of(plan, s.in[1])[row][c];
  out[row][c] = m.step(floats(s, 0)[c], floats(s, 1)[c], k, v);
  to[0] = m.a, to[C] = m.b, to[2 * C] = m.p;
}

// One step on the channels of a block, N from `first` on.
__device__ void block_step(const Plan& plan, const Step& s, int64 row, int64 first, float* token,
                           float* parts) {
  const Rows out = rows_of(plan, s.out);
  const int64 last = first + N < plan.channels ? first + N : plan.channels;
  switch (s.kind) {
    case kProduct: {
      const Matrix m = matrix_of(s);
      for (int64 r = first + threadIdx.x / kWarp; r < last; r += kBlockThreads / kWarp)
        multiply_row<1>(plan, s, m, r, row, row + 1);
      break;
    }
    case kNormalize:
    case kGroupNorm:
    case kBonus: head_step(plan, s, out, row, first, parts); break;
    case kWkv7: wkv7_step(plan, s, out, row, first, token); break;
    case kWkv6: wkv6_step(plan, s, out, row, first, token); break;
    case kWkv4: wkv4_step(plan, s, out, row, first); break;
    default: {
      const Rows in[3] = {rows_of(plan, s.in[0]), rows_of(plan, s.in[1]), rows_of(plan, s.in[2])};
      const int64 c = first + threadIdx.x;
      if (c < last) out[row][c] = element(s, in, row, c);
    }
  }
}

template <int kTokens>
__device__ __forceinline__ void products(const Plan& plan, int64 first, int64 count, float* shares,
                                         unsigned* done) {
  const int64 B = plan.run->B;
  int64 block = blockIdx.x;
  for (int64 i = 0; i < count; ++i) {
    const Step& s = plan.steps[first + i];
    const Matrix m = matrix_of(s);
    const int64 blocks = m.flags & kByColumns ? tiles_of(m) * kSplits
                                              : (m.rows + kColumnWarps - 1) / kColumnWarps;
    if (block < blocks) {
      const int64 row = block * kColumnWarps + threadIdx.x / kWarp;
      if (m.flags & kByColumns)
        multiply_columns<kTokens>(plan, s, block, B, shares, done);
      else if (row < m.rows)
        multiply_row<kTokens>(plan, s, m, row, 0, B);
      return;
    }
    block -= blocks;
  }
}

}  // namespace

extern "C" {

// Steps on whole tokens: a block for each conversation.
__global__ void __launch_bounds__(kMaxThreads) plan_rows(Plan plan, int64 first, int64 count) {
  SHARED(float, parts, kMaxThreads / kWarp);
  const int64 row = blockIdx.x;
  if (row >= plan.run->B) return;
  for (int64 i = 0; i < count; ++i) {
    row_step(plan, plan.steps[first + i], row, parts);
    __syncthreads();
  }
}

// Steps on heads: a block for each head (x) and conversation (y). with_products is 0 where the
// phase's products are made already.
__global__ void __launch_bounds__(kBlockThreads, kBlockThreads > 256 ? 1 : 2)
    plan_blocks(Plan plan, int64 first, int64 count, int with_products) {
  SHARED(float, token, kWkv7Vectors * N);
  SHARED(float, parts, kBlockThreads / kWarp);
  const int64 row = blockIdx.y;
  if (row >= plan.run->B) return;
  for (int64 i = 0; i < count; ++i) {
    const Step& s = plan.steps[first + i];
    if (s.kind == kProduct && !with_products) continue;
    block_step(plan, s, row, (int64)blockIdx.x * N, token, parts);
    __syncthreads();
  }
}

// Matrix products of a phase for up to as many conversations as the name says. Blocks share out
// the products' rows, one for each warp, or by columns; see columns.cuh.
__global__ void __launch_bounds__(kProductThreads, 2)
    plan_products_1(Plan plan, int64 first, int64 count, float* shares, unsigned* done) {
  products<1>(plan, first, count, shares, done);
}
__global__ void __launch_bounds__(kProductThreads, 2)
    plan_products_8(Plan plan, int64 first, int64 count, float* shares, unsigned* done) {
  products<8>(plan, first, count, shares, done);
}

// Puts a product that a library has made, y (rows, outputs) of float, to its place.
__global__ void __launch_bounds__(256) plan_finish(Plan plan, int64 step, const float* y) {
  const Step& s = plan.steps[step];
  const int64 row = blockIdx.y, c = (int64)blockIdx.x * 256 + threadIdx.x;
  if (row < plan.run->B && c < s.number[0]) finish(plan, s, row, c, y[row * s.number[0] + c]);
}

}
