// Steps on a slice of one token's channels, as kernels/cuda/layout.py lays them out for a launch.
//
// A block goes through a launch's steps together. What steps make, and what they are given, lies
// in shared memory, an entry of kWidth floats for each; only what is needed after the launch goes
// to the GPU's memory. Constants and descriptions are fetched before the kernels ahead have ended.
#pragma once

#include "product.cuh"
#include "wkv4.cuh"
#include "wkv6.cuh"
#include "wkv7.cuh"

// Values of a thread that are on their way together.
constexpr int kFetched = 8;

// As in layout.py: most steps of a launch, and most entries by width.
constexpr int kMaxSteps = 24;
template <int kWidth>
constexpr int kMaxEntries = kWidth > 128 ? 24 : 40;

// Where an entry comes from: a value, `ld` floats from token to token, or a constant, ld 0.
struct Source {
  const float* data;
  int64 ld;
};

// A step. data: weights and scale of a product, or a table. whole: a row that is read whole, of
// another launch. from: entries of the inputs, then of two constants; -1: none.
struct Task {
  int64 kind, size, number[4];
  double value;
  void* out;  // null: the entry is enough
  int64 out_ld, out_format;
  const float* whole;
  int64 whole_ld;
  const void* data[2];
  int64 from[8];
};

// What a launch is given; arrays lie in the GPU's memory. size: of its steps' results.
struct Slices {
  const Source* sources;
  const Task* tasks;
  const Run* run;
  int64 n_sources, n_tasks, channels, wkv_size, size;
};

__device__ __forceinline__ void store(const Task& t, int64 row, int64 c, float y) {
  if (!t.out) return;
  const int64 at = row * t.out_ld + c;
  if (t.out_format == kFloat16)
    ((Half*)t.out)[at] = to_half(y);
  else if (t.out_format == kBfloat16)
    ((BFloat*)t.out)[at] = to_bfloat(y);
  else
    ((float*)t.out)[at] = y;
}

template <int kWidth, int kThreads>
struct Slice {
  const Slices& given;
  const Task* tasks;  // in shared memory, like the rest
  float *made, *parts, *token;
  int64 row, first;  // the token, and the slice's first channel

  __device__ __forceinline__ float* entry(int64 task) const {
    return made + (given.n_sources + task) * kWidth;
  }

  __device__ __forceinline__ float in(const Task& t, int i, float otherwise = 0) const {
    return t.from[i] < 0 ? otherwise : made[t.from[i] * kWidth + threadIdx.x % kWidth];
  }

  // Constants before the wait, values after it. Reads do not wait for each other.
  __device__ void fetch(const Source* sources, bool are_constant) const {
    constexpr int kStep = kThreads / kWidth;
    const int64 c = first + threadIdx.x % kWidth;
    for (int64 i = threadIdx.x / kWidth; i < given.n_sources; i += kStep * kFetched) {
      float x[kFetched];
#pragma unroll
      for (int j = 0; j < kFetched; ++j) {
        const int64 at = i + j * kStep;
        const Source s = sources[at < given.n_sources ? at : 0];
        const bool is_read = at < given.n_sources && (s.ld == 0) == are_constant && c < given.size;
        if (is_read) x[j] = s.data[row * s.ld + c];
      }
#pragma unroll
      for (int j = 0; j < kFetched; ++j) {
        const int64 at = i + j * kStep;
        const bool is_read = at < given.n_sources && (sources[at].ld == 0) == are_constant;
        if (is_read && c < given.size) made[at * kWidth + threadIdx.x % kWidth] = x[j];
      }
    }
  }

  __device__ float norm(const Task& t) const {
    const float* x = t.whole + row * t.whole_ld;
    const Moments all = moments_of(x, t.size, (float)t.value, parts);
    const int64 c = first + threadIdx.x;
    return c < t.size ? (x[c] - all.mean) * all.scale * in(t, 6) + in(t, 7) : 0;
  }

  // dx = (xn of the token before, or what the state holds) - xn; the state gets the last xn.
  __device__ float shift(const Task& t, int64 c) const {
    const Run& run = *given.run;
    const int64 b = row / run.T, place = row % run.T, which = t.number[1];
    const int64 at = (t.number[0] * run.B + b) * given.channels + c;
    const float now = in(t, 0);
    const float before = place ? t.whole[(row - 1) * t.whole_ld + c] : run.shift_before[which][at];
    if (place == run.T - 1) run.shift_after[which][at] = now;
    return before - now;
  }

  // The sum over i of a[i] b[i][c].
  __device__ float row_product(const Task& t, int64 c) const {
    const float *a = t.whole + row * t.whole_ld, *b = (const float*)t.data[0] + row * t.number[0];
    float total = 0;
    for (int64 i = 0; i < t.size; ++i) total += a[i] * b[i * t.size + c];
    return total;
  }

  __device__ float wkv4(const Task& t, int64 c) const {
    const int64 C = given.channels;
    const int64 at = (t.number[0] * given.run->B + row) * given.wkv_size + c;
    const float* before = given.run->wkv_before + at;
    float* after = given.run->wkv_after + at;
    Wkv4 m{before[0], before[C], before[2 * C]};
    const float y = m.step(in(t, 6), in(t, 7), in(t, 0), in(t, 1));
    after[0] = m.a, after[C] = m.b, after[2 * C] = m.p;
    return y;
  }

  // One channel's element of a step that reads other channels of no entry.
  __device__ __forceinline__ float element(const Task& t, int64 c) const {
    const float a = in(t, 0);
    switch (t.kind) {
      case kEmbed: {
        const Matrix table{t.data[0], nullptr, 0, t.number[1], t.number[0], 0};
        return load_weight(table, given.run->ids[row] * table.columns + c);
      }
      case kShift: return shift(t, c);
      case kMix: return a + in(t, 1) * (in(t, 6) + in(t, 2));
      case kAffine: return activate(t.number[0], a * in(t, 6, 1) + in(t, 7)) * (float)t.value;
      case kMultiply: return a * in(t, 1);
      case kLerp: return a + (in(t, 1) - a) * in(t, 2);
      case kRowProduct: return row_product(t, c);
      default: return wkv4(t, c);
    }
  }

  // One channel's step; of a norm's sums every thread has a part.
  __device__ void run_task(const Task& t, float* to) const {
    const int64 c = first + threadIdx.x;
    const bool is_own = threadIdx.x < kWidth && c < t.size;
    float y = 0;
    if (t.kind == kLayerNorm)
      y = norm(t);
    else if (is_own)
      y = element(t, c);
    if (is_own) to[threadIdx.x] = y, store(t, row, c, y);
  }
};

// A channel's element of a step that sums over its head of N; x is that of its first input. All
// threads of a block come here; those without a channel give and get nothing.
template <int N, class Own>
__device__ __forceinline__ float of_head(const Task& t, float x, const Own& slice) {
  if (t.kind == kNormalize) {
    const float length = sqrtf(slice.sum_over_head(x * x));
    return x / (length < 1e-12f ? 1e-12f : length);
  }
  if (t.kind == kGroupNorm) {
    const float mean = slice.sum_over_head(x) / N, d = x - mean;
    const float scale = 1 / sqrtf(slice.sum_over_head(d * d) / N + (float)t.value);
    return d * scale * slice.in(t, 6) + slice.in(t, 7);
  }
  const float bonus = slice.sum_over_head(slice.in(t, 1) * slice.in(t, 2) * slice.in(t, 6));
  return x + bonus * slice.in(t, 3);
}

// Heads of several tokens at a time, a thread for each channel of each: for steps without a
// recurrence or products. Entries are each thread's own.
template <int N, int kThreads>
struct TeamSlice : Slice<kThreads, kThreads> {
  using Base = Slice<kThreads, kThreads>;
  using Base::first, Base::given, Base::in, Base::made, Base::parts, Base::row;
  static constexpr int kTeams = kThreads / N, kWarps = N > kWarp ? N / kWarp : 1;

  __device__ __forceinline__ int64 channel() const { return first + threadIdx.x % N; }

  __device__ void fetch_own(const Source* sources, bool are_constant, bool is_there) const {
    for (int64 i = 0; i < given.n_sources; i += kFetched) {
      float x[kFetched];
#pragma unroll
      for (int j = 0; j < kFetched; ++j) {
        const Source s = sources[i + j < given.n_sources ? i + j : 0];
        const bool is_read = i + j < given.n_sources && (s.ld == 0) == are_constant;
        if (is_there && is_read) x[j] = s.data[row * s.ld + channel()];
      }
#pragma unroll
      for (int j = 0; j < kFetched; ++j)
        if (is_there && i + j < given.n_sources && (sources[i + j].ld == 0) == are_constant)
          made[(i + j) * kThreads + threadIdx.x] = x[j];
    }
  }

  __device__ __forceinline__ float sum_over_head(float x) const {
    x = sum_of_lanes < (N < kWarp ? N : kWarp) > (x);
    if (kWarps == 1) return x;
    if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
    __syncthreads();
    x = 0;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) x += parts[threadIdx.x / N * kWarps + i];
    __syncthreads();
    return x;
  }

  __device__ void run_task(const Task& t, float* to, bool is_there) const {
    float y = 0;
    if (t.kind == kNormalize || t.kind == kGroupNorm || t.kind == kBonus)
      y = of_head<N>(t, is_there ? in(t, 0) : 0, *this);
    else if (is_there)
      y = Base::element(t, channel());
    if (is_there) to[threadIdx.x] = y, store(t, row, channel(), y);
  }

};

// A slice that is one head, whose block has four threads for each channel.
template <int kWidth>
struct HeadSlice : Slice<kWidth, Tile<kWidth>::kThreads> {
  using Base = Slice<kWidth, Tile<kWidth>::kThreads>;
  static constexpr int kThreads = Tile<kWidth>::kThreads;
  using Base::first, Base::given, Base::in, Base::made, Base::parts, Base::row, Base::tasks,
      Base::token;

  // Sums over the head; threads beyond it give nothing.
  __device__ __forceinline__ float sum_over_head(float x) const {
    const float total = sum_of_block(threadIdx.x < kWidth ? x : 0, parts);
    __syncthreads();
    return total;
  }

  // The head's (kWidth, kWidth) state before the launch's recurrence.
  __device__ __forceinline__ int64 state_at(int64 layer) const {
    return (layer * given.run->B + row) * given.wkv_size + first * kWidth;
  }

  // Row line() of y of a recurrence; S is this thread's part of the state.
  __device__ float recurrence(const Task& t, float (&S)[Tile<kWidth>::kEach]) const {
    const int vectors = t.kind == kWkv7 ? (int)kWkv7Vectors : (int)kWkv6Vectors;
    for (int i = threadIdx.x; i < vectors * kWidth; i += kThreads) {
      const int which = i / kWidth;
      // RWKV-5's decay is a constant.
      const int64 from = t.from[which] < 0 ? t.from[7] : t.from[which];
      const float x = made[from * kWidth + i % kWidth];
      token[i] = which == kW ? expf(x) : x;
    }
    __syncthreads();
    Measure measure;
    float y, forgotten;
    if (t.kind == kWkv7) {
      y = Wkv7<kWidth>::template step<false>(S, token, forgotten, measure);
    } else {
      float u[Tile<kWidth>::kEach];
      Tile<kWidth>::part(made + t.from[6] * kWidth, u);
      y = Wkv6<kWidth>::template step<false>(S, u, token, measure);
    }
    Tile<kWidth>::store_row(S, given.run->wkv_after + state_at(t.number[0]));
    return y;
  }

  // Eight rows of a warp times a whole row of an earlier launch; four threads share each row.
  template <int64 kFormat>
  __device__ void multiply(const Task& t, float* to) const {
    const int64 columns = t.number[1];
    const int local = threadIdx.x / 4, quarter = threadIdx.x % 4;
    const int64 r = first + local;
    const float* x = t.whole + row * t.whole_ld;
    const Matrix m{t.data[0], t.data[1], t.number[0], columns, kFormat, 0};
    float sum = 0;
    if (r < t.size) {
      if (kFormat == kInt4) {
        sum = int4_row(m, r, quarter, x);
      } else if (columns % kAtOnce == 0 && (unsigned long long)x % 16 == 0) {
#pragma unroll 4
        for (int64 c = quarter * kAtOnce; c < columns; c += 4 * kAtOnce) {
          float w[kAtOnce];
          load_weights(m, r * columns + c, w);
          const float4 a = *(const float4*)(x + c), b = *(const float4*)(x + c + 4);
          sum += w[0] * a.x + w[1] * a.y + w[2] * a.z + w[3] * a.w;
          sum += w[4] * b.x + w[5] * b.y + w[6] * b.z + w[7] * b.w;
        }
      } else {
        for (int64 c = quarter; c < columns; c += 4) sum += load_weight(m, r * columns + c) * x[c];
      }
    }
    sum = sum_of_lanes<4>(sum);
    if (kFormat == kInt8 && r < t.size) sum *= ((const float*)m.scale)[r];
    if (quarter == 0 && r < t.size) to[local] = activate(t.number[3], sum);
  }

  __device__ static float int4_row(const Matrix& m, int64 r, int quarter, const float* x) {
    const int64 groups = (m.columns + kGroup - 1) / kGroup;
    float sum = 0;
#pragma unroll 4
    for (int64 g = 0; g < groups; ++g) {
      const unsigned bytes = ((const unsigned*)m.data)[(r * groups + g) * 4 + quarter];
      const float scale = to_float(((const Half*)m.scale)[r * groups + g]);
      const int64 c = g * kGroup + 4 * quarter;
      float part = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const unsigned byte = bytes >> 8 * i & 255;
        if (c + i < m.columns) part += ((float)(byte & 15) - 8) * x[c + i];
        if (c + 16 + i < m.columns) part += ((float)(byte >> 4) - 8) * x[c + 16 + i];
      }
      sum += part * scale;
    }
    return sum;
  }

  __device__ void product(const Task& t, float* to) const {
    switch (t.number[2] & kFormatMask) {
      case kFloat32: return multiply<kFloat32>(t, to);
      case kFloat16: return multiply<kFloat16>(t, to);
      case kBfloat16: return multiply<kBfloat16>(t, to);
      case kInt8: return multiply<kInt8>(t, to);
      default: return multiply<kInt4>(t, to);
    }
  }

  // Asks for the weights of this block's products, which nobody waits for.
  __device__ void prefetch_products() const {
    for (int64 i = 0; i < given.n_tasks; ++i) {
      const Task& t = tasks[i];
      if (t.kind != kProduct) continue;
      const int64 row_bytes = bytes_of_row(t), left = t.size - first;
      const int64 rows = left < kWidth ? left : kWidth;
      const char* from = (const char*)t.data[0] + first * row_bytes;
      for (int64 at = threadIdx.x * 128; at < rows * row_bytes; at += kThreads * 128)
        prefetch(from + at);
    }
  }

  __device__ static int64 bytes_of_row(const Task& t) {
    switch (t.number[2] & kFormatMask) {
      case kFloat32: return 4 * t.number[1];
      case kInt8: return t.number[1];
      case kInt4: return (t.number[1] + kGroup - 1) / kGroup * (kGroup / 2);
      default: return 2 * t.number[1];
    }
  }

  // What it reads must be there for all threads.
  __device__ __forceinline__ void run_recurrence(const Task& t, float* to,
                                                 float (&S)[Tile<kWidth>::kEach]) const {
    const float y = recurrence(t, S);
    if (Tile<kWidth>::is_first()) to[Tile<kWidth>::line()] = y;
    __syncthreads();
    const int64 c = first + threadIdx.x;
    if (threadIdx.x < kWidth && c < t.size) store(t, row, c, to[threadIdx.x]);
  }

  __device__ void run_task(int64 i, float (&S)[Tile<kWidth>::kEach]) const {
    const Task& t = tasks[i];
    float* const to = Base::entry(i);
    const int64 c = first + threadIdx.x;
    const bool is_own = threadIdx.x < kWidth && c < t.size;
    if (t.kind == kProduct) {
      product(t, to);
      // Products that follow each other do not wait for each other.
      if (i + 1 < given.n_tasks && tasks[i + 1].kind == kProduct && !t.out) return;
    } else if (t.kind == kWkv7 || t.kind == kWkv6) {
      __syncthreads();
      return run_recurrence(t, to, S);
    } else if (t.kind == kNormalize || t.kind == kGroupNorm || t.kind == kBonus) {
      const float y = of_head<kWidth>(t, in(t, 0), *this);
      if (is_own) to[threadIdx.x] = y, store(t, row, c, y);
      return;
    } else {
      return Base::run_task(t, to);
    }
    __syncthreads();
    if (is_own && t.out) store(t, row, c, to[threadIdx.x]);
  }
};
