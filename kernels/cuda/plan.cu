// Runs a plan's phases in a few launches a layer; kernels/cuda/layout.py says in which order. A
// launch is interpreted, so a few kernels do the work of some forty small ones, for every
// generation.
//
// HEAD_SIZE: N, one of 16, 32, 64, 128; 64 for models without heads.

#include "columns.cuh"
#include "rows.cuh"
#include "slices.cuh"

namespace {

constexpr int N = HEAD_SIZE;
constexpr int kSliceWidth = 256;
constexpr int kProductThreads = kProductWarps * kWarp;

// Which products a kernel knows. Those that know less need fewer registers, so that more blocks
// read at a time.
enum Kinds { kAllKinds, kRowsButInt4, kColumnsButInt4 };

// The products of a launch, steps from `first` on, and how many blocks each has.
constexpr int kMostProducts = 8;
struct Products {
  int64 first, count, blocks[kMostProducts];
};

// What a slice's block works with; before it waits for the kernels ahead of it.
template <class Slice, int kWidth, int kThreads>
__device__ __forceinline__ Slice open_slice(const Slices& given, Task* tasks, Source* sources,
                                            float* made, float* parts, float* token) {
  let_next_start();
  const int64* from = (const int64*)given.tasks;
  for (int64 i = threadIdx.x; i < given.n_tasks * (int64)(sizeof(Task) / 8); i += kThreads)
    ((int64*)tasks)[i] = from[i];
  for (int64 i = threadIdx.x; i < given.n_sources; i += kThreads) sources[i] = given.sources[i];
  const int64 row = blockIdx.y, first = (int64)blockIdx.x * kWidth;
  return Slice{given, tasks, made, parts, token, row, first};
}

// kKinds: of products that there are; see Kinds.
template <int kTokens, Kinds kKinds = kAllKinds>
__device__ __forceinline__ void products(const Plan& plan, const Products& which, float* shares,
                                         unsigned* done) {
  static_assert(kTile >= kMostRows);
  SHARED(float, parts, kProductWarps * (kTokens == 1 ? kVectorTile : kTokens * kTile));
  let_next_start();
  int64 block = blockIdx.x, step = which.first;
#pragma unroll
  for (int i = 0; i < kMostProducts - 1; ++i) {
    if (i + 1 == which.count || block < which.blocks[i]) break;
    block -= which.blocks[i], ++step;
  }
  const Step& s = plan.steps[step];
  const Matrix m = matrix_of(s);
  const bool by_columns =
      kKinds == kAllKinds ? (m.flags & kByColumns) != 0 : kKinds == kColumnsButInt4;
  if (by_columns)
    multiply_columns<kTokens, kKinds != kAllKinds>(plan, s, m, block, parts, shares, done);
  else
    multiply_rows<kTokens, kKinds != kAllKinds>(plan, s, m, block, parts);
}

}  // namespace

extern "C" {

// Steps on whole tokens: a block for each 256 channels (x) of some tokens (y).
__global__ void __launch_bounds__(kSliceWidth) plan_slices(Slices given) {
  SHARED(Task, tasks, kMaxSteps);
  SHARED(Source, sources, kMaxEntries<kSliceWidth>);
  SHARED(float, made, kMaxEntries<kSliceWidth> * kSliceWidth);
  SHARED(float, parts, kSliceWidth / kWarp);
  using Own = Slice<kSliceWidth, kSliceWidth>;
  Own slice = open_slice<Own, kSliceWidth, kSliceWidth>(given, tasks, sources, made, parts,
                                                        nullptr);
  slice.fetch(given.sources, true);
  __syncthreads();
  wait_for_previous();
  const int64 rows = given.run->B * given.run->T;
  for (; slice.row < rows; slice.row += gridDim.y) {
    slice.fetch(sources, false);
    for (int64 i = 0; i < given.n_tasks; ++i) slice.run_task(tasks[i], slice.entry(i));
  }
}

// Steps on heads: a block for each head (x) of each token (y). layer: of the recurrence among
// them, which is for runs of one token; -1: there is none.
__global__ void __launch_bounds__(Tile<N>::kThreads, Tile<N>::kThreads > 256 ? 1 : 2)
    plan_heads(Slices given, int64 layer) {
  using Own = HeadSlice<N>;
  SHARED(Task, tasks, kMaxSteps);
  SHARED(Source, sources, kMaxEntries<N>);
  SHARED(float, made, kMaxEntries<N> * N);
  SHARED(float, parts, Own::kThreads / kWarp);
  SHARED(float, token, kWkv7Vectors * N);
  const Own slice{open_slice<typename Own::Base, N, Own::kThreads>(given, tasks, sources, made,
                                                                   parts, token)};
  slice.fetch(given.sources, true);
  __syncthreads();
  slice.prefetch_products();
  wait_for_previous();
  if (slice.row >= given.run->B * given.run->T) return;
  float S[Tile<N>::kEach];
  if (layer >= 0) Tile<N>::load_row(given.run->wkv_before + slice.state_at(layer), S);
  slice.fetch(sources, false);
  __syncthreads();
  for (int64 i = 0; i < given.n_tasks; ++i) slice.run_task(i, S);
}

// Steps on heads without a recurrence or products: a block for each head (x) of some tokens (y),
// several at a time.
__global__ void __launch_bounds__(kSliceWidth) plan_teams(Slices given) {
  using Own = TeamSlice<N, kSliceWidth>;
  SHARED(Task, tasks, kMaxSteps);
  SHARED(Source, sources, kMaxEntries<kSliceWidth>);
  SHARED(float, made, kMaxEntries<kSliceWidth> * kSliceWidth);
  SHARED(float, parts, kSliceWidth / kWarp);
  Own slice{open_slice<typename Own::Base, N, kSliceWidth>(given, tasks, sources, made, parts,
                                                           nullptr)};
  const bool has_channel = slice.channel() < given.size;
  slice.fetch_own(given.sources, true, has_channel);
  __syncthreads();
  wait_for_previous();
  const int64 rows = given.run->B * given.run->T;
  for (int64 base = blockIdx.y * Own::kTeams; base < rows; base += gridDim.y * Own::kTeams) {
    slice.row = base + threadIdx.x / N;
    const bool is_there = has_channel && slice.row < rows;
    slice.fetch_own(sources, false, is_there);
    for (int64 i = 0; i < given.n_tasks; ++i) slice.run_task(tasks[i], slice.entry(i), is_there);
  }
}

// One token of a layer's recurrence: a block for each head (x) of each conversation (y).
__global__ void __launch_bounds__(Tile<N>::kThreads, Tile<N>::kThreads > 256 ? 1 : 4)
    plan_recurrence(Slices given, int64 layer) {
  using Own = HeadSlice<N>;
  SHARED(Task, tasks, 1);
  SHARED(Source, sources, kWkv7Vectors + 2);
  SHARED(float, made, (kWkv7Vectors + 3) * N);
  SHARED(float, token, kWkv7Vectors * N);
  const Own slice{open_slice<typename Own::Base, N, Own::kThreads>(given, tasks, sources, made,
                                                                   nullptr, token)};
  wait_for_previous();
  if (slice.row >= given.run->B) return;
  // The state is most of what is read, so it goes first.
  float S[Tile<N>::kEach];
  Tile<N>::load_row(given.run->wkv_before + slice.state_at(layer), S);
  slice.fetch(given.sources, true);
  slice.fetch(given.sources, false);
  __syncthreads();
  slice.run_recurrence(tasks[0], slice.entry(0), S);
}

// A norm of whole tokens, a block for each.
__global__ void __launch_bounds__(kSliceWidth) plan_norm(Slices given) {
  SHARED(float, parts, kSliceWidth / kWarp);
  let_next_start();
  const Task t = given.tasks[0];
  const float *weight = given.sources[t.from[6]].data, *bias = given.sources[t.from[7]].data;
  wait_for_previous();
  const int64 row = blockIdx.y;
  if (row >= given.run->B * given.run->T) return;
  const float* x = t.whole + row * t.whole_ld;
  const Moments all = moments_of(x, t.size, (float)t.value, parts);
  for (int64 c = threadIdx.x; c < t.size; c += kSliceWidth)
    store(t, row, c, (x[c] - all.mean) * all.scale * weight[c] + bias[c]);
}

// Matrix products of a phase for up to as many conversations as the name says; the first two
// know no int4. Blocks share out the products' rows, or tiles of them by columns; see rows.cuh and
// columns.cuh.
__global__ void __launch_bounds__(kProductThreads, 4)
    plan_rows_1(Plan plan, Products which, float* shares, unsigned* done) {
  products<1, kRowsButInt4>(plan, which, shares, done);
}
__global__ void __launch_bounds__(kProductThreads, 2)
    plan_columns_1(Plan plan, Products which, float* shares, unsigned* done) {
  products<1, kColumnsButInt4>(plan, which, shares, done);
}
__global__ void __launch_bounds__(kProductThreads, 2)
    plan_products_1(Plan plan, Products which, float* shares, unsigned* done) {
  products<1>(plan, which, shares, done);
}
__global__ void __launch_bounds__(kProductThreads, 2)
    plan_products_8(Plan plan, Products which, float* shares, unsigned* done) {
  products<8>(plan, which, shares, done);
}

// Puts a product that a library has made, y (rows, outputs) of float, to its place; its factor is
// what the task reads whole.
__global__ void __launch_bounds__(256) plan_finish(Slices given, const float* y) {
  let_next_start();
  const Task t = given.tasks[0];
  wait_for_previous();
  const int64 row = blockIdx.y, c = (int64)blockIdx.x * 256 + threadIdx.x;
  if (row >= given.run->B * given.run->T || c >= t.size) return;
  float x = activate(t.number[3], y[row * t.size + c]);
  if (t.whole) x *= t.whole[row * t.whole_ld + c];
  if (!t.out)
    given.run->logits[row * t.size + c] = x;
  else if (t.number[2] & kIsAdded)
    ((float*)t.out)[row * t.out_ld + c] += x;
  else
    store(t, row, c, x);
}

}
