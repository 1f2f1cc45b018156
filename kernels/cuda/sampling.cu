// Chooses a token for each conversation, in the order and with the noise of rwkv_core/sampling.py:
// adjust logits, keep the likely tokens (top_p, then top_k), and take the largest of
// logit / temperature + Gumbel noise keyed by seed, position and token. A block of kThreads for
// each conversation. Instead of sorting, thresholds are found by halving: logits become numbers
// between 0 and 1, whose bits, read as integers, are in the same order.

#include "device.cuh"

namespace {

constexpr int kThreads = 1024;
constexpr int64 kNotFinite = -1, kAllBanned = -2;

// As in kernels/cuda/sampling.py.
struct Choice {
  double temperature, top_p;
  int64 top_k, position;
  unsigned long long seed;
  int64 first, last;  // of its adjustments
};

__device__ __forceinline__ unsigned long long splitmix64(unsigned long long counter) {
  unsigned long long mixed = (counter + 1) * 0x9E3779B97F4A7C15ull;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
  return mixed ^ (mixed >> 31);
}

__device__ __forceinline__ double gumbel(unsigned long long stream, int64 token) {
  const unsigned long long bits = splitmix64(stream + (unsigned long long)token) >> 11;
  return -log(-log(((double)bits + 0.5) * 0x1p-53));
}

// The sum over the block, of which all threads learn, added up in one order.
__device__ double total_of_block(double x, double* parts) {
  const int warps = kThreads / kWarp;
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
  __syncthreads();
  double total = 0;
  for (int i = 0; i < warps; ++i) total += parts[i];
  return total;
}

// The place of the largest score, of equal ones the first; -1 where no score is above -infinity.
__device__ int64 best_of_block(double score, int64 at, double* parts, int64* places) {
  const auto keep_better = [&](double other, int64 place) {
    if (place >= 0 && (at < 0 || other > score || (other == score && place < at)))
      score = other, at = place;
  };
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const double other = __shfl_xor_sync(0xffffffffu, score, step);
    const int64 place = __shfl_xor_sync(0xffffffffu, at, step);
    keep_better(other, place);
  }
  __syncthreads();
  if (threadIdx.x % kWarp == 0)
    parts[threadIdx.x / kWarp] = score, places[threadIdx.x / kWarp] = at;
  __syncthreads();
  score = parts[0], at = places[0];
  for (int i = 1; i < kThreads / kWarp; ++i) keep_better(parts[i], places[i]);
  return at;
}

// One conversation's numbers: logits as adjusted, and exp(logit - largest).
struct Row {
  const float *logits, *weights;
  int64 size;
  double* parts;

  template <class Use>
  __device__ double sum(Use use) const {
    double total = 0;
    for (int64 i = threadIdx.x; i < size; i += kThreads) total += use(weights[i], i);
    return total_of_block(total, parts);
  }

  // The largest number, as bits up to `most`, for which is_enough still holds.
  template <class Test>
  __device__ static int64 largest(int64 most, Test is_enough) {
    int64 low = 0, high = most;
    while (low < high) {
      const int64 middle = (low + high + 1) / 2;
      if (is_enough(middle)) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  __device__ double mass_from(float least) const {
    return sum([&](float w, int64) { return w >= least ? (double)w : 0.0; });
  }

  __device__ double count_from(float least) const {
    return sum([&](float w, int64) { return w >= least && w > 0 ? 1.0 : 0.0; });
  }
};

constexpr int64 kOne = 0x3f800000;  // the bits of 1

// Tokens are kept from `least` on; of those that equal it the ones before `end`.
struct Kept {
  float least;
  int64 end;
  __device__ bool operator()(float w, int64 i) const {
    return w > 0 && (w > least || (w == least && i < end));
  }
};

__device__ Kept likely_tokens(const Row& row, const Choice& c) {
  Kept kept{0, row.size};
  if (c.top_p < 1) {
    const double wanted = c.top_p * row.mass_from(0);
    kept.least = __uint_as_float((unsigned)Row::largest(
        kOne, [&](int64 bits) { return row.mass_from(__uint_as_float((unsigned)bits)) >= wanted; }));
  }
  if (c.top_k <= 0 || row.count_from(kept.least) <= c.top_k) return kept;
  kept.least = __uint_as_float((unsigned)Row::largest(kOne, [&](int64 bits) {
    return row.count_from(__uint_as_float((unsigned)bits)) >= c.top_k;
  }));
  const float level = kept.least;
  const double above = row.sum([&](float w, int64) { return w > level ? 1.0 : 0.0; });
  kept.end = Row::largest(row.size, [&](int64 end) {
    const auto is_level = [&](float w, int64 i) { return w == level && i < end ? 1.0 : 0.0; };
    return above + row.sum(is_level) <= c.top_k;
  });
  return kept;
}

}  // namespace

extern "C" {

// logits (B, V) and adjustments, which are taken from them; scratch is (B, 2, V). chosen (B,):
// the token, -1 where logits hold NaN or infinity, -2 where every token is banned.
__global__ void __launch_bounds__(kThreads)
    sample(const float* logits, const Choice* choices, const int64* tokens, const double* amounts,
           float* scratch, int64* chosen, int64 V) {
  SHARED(double, parts, kThreads / kWarp);
  SHARED(int64, places, kThreads / kWarp);
  const int64 b = blockIdx.x;
  const Choice c = choices[b];
  float *adjusted = scratch + 2 * b * V, *weights = adjusted + V;
  for (int64 i = threadIdx.x; i < V; i += kThreads) adjusted[i] = logits[b * V + i];
  __syncthreads();
  for (int64 i = c.first + threadIdx.x; i < c.last; i += kThreads)
    adjusted[tokens[i]] = (float)((double)adjusted[tokens[i]] - amounts[i]);
  __syncthreads();
  const float infinity = __uint_as_float(0x7f800000u);
  double highest = -infinity, bad = 0;
  int64 at = -1;
  for (int64 i = threadIdx.x; i < V; i += kThreads) {
    const float x = adjusted[i];
    bad += !(x < infinity);  // NaN is not
    if (x > highest) highest = x, at = i;
  }
  const bool is_bad = total_of_block(bad, parts) > 0;
  at = best_of_block(highest, at, parts, places);
  if (is_bad || at < 0 || c.temperature == 0) {
    if (threadIdx.x == 0) chosen[b] = is_bad ? kNotFinite : at < 0 ? kAllBanned : at;
    return;
  }
  const float largest = adjusted[at];
  for (int64 i = threadIdx.x; i < V; i += kThreads) weights[i] = expf(adjusted[i] - largest);
  __syncthreads();
  const Kept is_kept = likely_tokens(Row{adjusted, weights, V, parts}, c);
  const unsigned long long stream =
      splitmix64(splitmix64(c.seed) + (unsigned long long)c.position);
  double best = -infinity;
  at = -1;
  for (int64 i = threadIdx.x; i < V; i += kThreads) {
    if (!is_kept(weights[i], i)) continue;
    const double score = adjusted[i] / c.temperature + gumbel(stream, i);
    if (score > best || at < 0) best = score, at = i;
  }
  at = best_of_block(best, at, parts, places);
  if (threadIdx.x == 0) chosen[b] = at;
}

}
