// Products of 4-bit weights, in integers: inputs are rounded to 8 bits in groups of 32 with a
// scale of their own, as the weights are, so that a group's sum is exact and one instruction
// multiplies 32 pairs. Unpacking to floats instead took three times as long as memory.
#pragma once

#include <cmath>
#include <vector>

#include "panels.h"

// 32 columns of 64 rows: for each quarter of a row's 16 bytes, 4 bytes of every row, then the
// rows' fp16 scales. Byte j of a row holds column j in its low half and column j + 16 in its high
// one. They mean nibble - 8.
struct Int4 {
  static constexpr int kQuarters = 4;
  static constexpr int kGroupBytes = kGroup / 2 * kRows + 2 * kRows;
};

template <>
inline int64_t panel_bytes<Int4>(int64_t columns) {
  return (columns + kGroup - 1) / kGroup * Int4::kGroupBytes;
}

// Rounded inputs of some tokens. A group is 32 bytes, a scale, and 8 times the bytes' sum.
struct Rounded {
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<int32_t> offsets;
  const float* from = nullptr;  // whose roundings these are; null: nobody's
  int64_t tokens = 0, groups = 0;

  void round(const float* x, int64_t ldx, int64_t n_tokens, int64_t columns) {
    if (from == x && tokens == n_tokens) return;
    from = x, tokens = n_tokens, groups = (columns + kGroup - 1) / kGroup;
    const size_t count = tokens * groups;
    if (scales.size() < count)
      values.resize(count * kGroup), scales.resize(count), offsets.resize(count);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t g = 0; g < groups; ++g)
        round_group(x + t * ldx + g * kGroup, columns - g * kGroup, t * groups + g);
  }

 private:
  void round_group(const float* x, int64_t count, int64_t at) {
    constexpr int n = kGroup / kLanes;
    Vec part[n], largest{}, poison{};
    for (int i = 0; i < n; ++i) {
      part[i] = count > i * kLanes ? load_part(x + i * kLanes, count - i * kLanes) : Vec{};
      largest = larger(largest, part[i] < Vec{} ? -part[i] : part[i]);
      poison += part[i] * 0.0f;  // NaN where an input is not finite, and so is the scale then
    }
    float end = 0;
    for (int i = 0; i < kLanes; ++i) end = largest[i] > end ? largest[i] : end;
    const Vec inverse = splat(end > 0 ? 127 / end : 0);
    IntVec total{};
    for (int i = 0; i < n; ++i) {
      // Adding 1.5 * 2^23 rounds to the nearest integer in the low bits.
      const Vec moved = part[i] * inverse + splat(12582912.0f);
      const IntVec whole = load_as<IntVec>(&moved) - 0x4b400000;
      const ByteVec bytes = __builtin_convertvector(whole, ByteVec);
      std::memcpy(values.data() + at * kGroup + i * kLanes, &bytes, sizeof(bytes));
      total += whole;
    }
    int32_t sum_of_all = 0;
    for (int i = 0; i < kLanes; ++i) sum_of_all += total[i];
    offsets[at] = 8 * sum_of_all;
    scales[at] = end / 127 + sum(poison);
  }
};

// Sums of nibbles times bytes for kLanes rows. A group's 8 sums of two products of at most
// 15 * 127 fit into 16 bits.
struct NibbleSum {
#if defined(__AVX512VNNI__)
  __m512i total = _mm512_setzero_si512();
  static __m512i spread(const int8_t* x) { return _mm512_set1_epi32(load_as<int32_t>(x)); }
  static __m512i low(__m512i w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
  static __m512i high(__m512i w) { return low(_mm512_srli_epi16(w, 4)); }
  static __m512i words(const uint8_t* p) { return _mm512_loadu_si512(p); }
  void add(__m512i nibbles, __m512i x) { total = _mm512_dpbusd_epi32(total, nibbles, x); }
  IntVec result() const { return (IntVec)total; }
#elif defined(__AVX512BW__)
  __m512i total = _mm512_setzero_si512();
  static __m512i spread(const int8_t* x) { return _mm512_set1_epi32(load_as<int32_t>(x)); }
  static __m512i low(__m512i w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
  static __m512i high(__m512i w) { return low(_mm512_srli_epi16(w, 4)); }
  static __m512i words(const uint8_t* p) { return _mm512_loadu_si512(p); }
  void add(__m512i nibbles, __m512i x) {
    total = _mm512_add_epi16(total, _mm512_maddubs_epi16(nibbles, x));
  }
  IntVec result() const { return (IntVec)_mm512_madd_epi16(total, _mm512_set1_epi16(1)); }
#elif defined(__AVX2__)
  __m256i total = _mm256_setzero_si256();
  static __m256i spread(const int8_t* x) { return _mm256_set1_epi32(load_as<int32_t>(x)); }
  static __m256i low(__m256i w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
  static __m256i high(__m256i w) { return low(_mm256_srli_epi16(w, 4)); }
  static __m256i words(const uint8_t* p) { return load_as<__m256i>(p); }
  void add(__m256i nibbles, __m256i x) {
    total = _mm256_add_epi16(total, _mm256_maddubs_epi16(nibbles, x));
  }
  IntVec result() const { return (IntVec)_mm256_madd_epi16(total, _mm256_set1_epi16(1)); }
#else
  IntVec total{};
  static const int8_t* spread(const int8_t* x) { return x; }
  static IntVec low(IntVec w) { return w & 0x0f0f0f0f; }
  static IntVec high(IntVec w) { return (w >> 4) & 0x0f0f0f0f; }
  static IntVec words(const uint8_t* p) { return load_as<IntVec>(p); }
  void add(IntVec nibbles, const int8_t* x) {
    for (int i = 0; i < 4; ++i) total += ((nibbles >> (8 * i)) & 15) * (int32_t)x[i];
  }
  IntVec result() const { return total; }
#endif
};

// y[token][j kLanes ...] += one group's product for N tokens and J vectors of rows, the first of
// which is vector `first`.
template <int N, int J>
inline void int4_group(const uint8_t* group, int first, const Rounded& x, int64_t token, int64_t g,
                       float* y) {
  NibbleSum sums[N][J];
  const int8_t* values = x.values.data() + (token * x.groups + g) * kGroup;
  for (int q = 0; q < Int4::kQuarters; ++q)
    for (int j = 0; j < J; ++j) {
      const auto w = NibbleSum::words(group + q * 4 * kRows + (first + j) * 4 * kLanes);
      const auto low = NibbleSum::low(w), high = NibbleSum::high(w);
      for (int t = 0; t < N; ++t) {
        const int8_t* at = values + t * x.groups * kGroup + 4 * q;
        sums[t][j].add(low, NibbleSum::spread(at));
        sums[t][j].add(high, NibbleSum::spread(at + kGroup / 2));
      }
    }
  for (int j = 0; j < J; ++j) {
    const Vec scale = load_fp16(group + kGroup / 2 * kRows + (first + j) * 2 * kLanes);
    for (int t = 0; t < N; ++t) {
      const int64_t at = (token + t) * x.groups + g;
      const IntVec whole = sums[t][j].result() - x.offsets[at];
      float* to = y + t * kRows + (first + j) * kLanes;
      store(to, load(to) + __builtin_convertvector(whole, Vec) * (scale * x.scales[at]));
    }
  }
}

template <int N>
inline void int4_last_tokens(int64_t left, const uint8_t* group, int first, const Rounded& x,
                             int64_t token, int64_t g, float* y) {
  if (left == N) return int4_group<N, 2>(group, first, x, token, g, y);
  if constexpr (N > 1) int4_last_tokens<N - 1>(left, group, first, x, token, g, y);
}

// y[token][0..63] = panel · x; y is written whole.
__attribute__((noinline)) inline void multiply_int4(const uint8_t* panel, const Rounded& x,
                                                    float* y) {
  constexpr int kTokens = 4;
  std::memset(y, 0, sizeof(float) * kRows * x.tokens);
  if (x.tokens == 1) {
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* group = panel + g * Int4::kGroupBytes;
      for (int line = 0; line < Int4::kGroupBytes; line += 64)
        __builtin_prefetch(group + 2048 + line);
      int4_group<1, kVecs>(group, 0, x, 0, g, y);
    }
    return;
  }
  // A few groups at a time stay in the cache while all tokens meet them.
  for (int64_t begin = 0; begin < x.groups; begin += 16)
    for (int first = 0; first < kVecs; first += 2)
      for (int64_t t = 0; t < x.tokens; t += kTokens)
        for (int64_t g = begin; g < std::min(begin + 16, x.groups); ++g) {
          const uint8_t* group = panel + g * Int4::kGroupBytes;
          if (t + kTokens <= x.tokens)
            int4_group<kTokens, 2>(group, first, x, t, g, y + t * kRows);
          else
            int4_last_tokens<kTokens - 1>(x.tokens - t, group, first, x, t, g, y + t * kRows);
        }
}
