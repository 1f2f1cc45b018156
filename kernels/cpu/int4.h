// Products of 4-bit weights, in integers: inputs are rounded to 8 bits in groups of 32 with a
// scale of their own, as the weights are, so that a group's sum is exact and one instruction
// multiplies 32 pairs. Unpacking to floats instead took three times as long as memory.
#pragma once

#include "int4_scales.h"
#include "panels.h"

// 32 columns of 64 rows: for each quarter of a row's 16 bytes, 4 bytes of every row, then the
// rows' scales. Byte j of a row holds column j in its low half and column j + 16 in its high
// one. They mean nibble - 8.
struct Int4 {
  static constexpr int kQuarters = 4, kZero = 8;
  static constexpr int kQuarterBytes = kGroup / 2 * kRows / kQuarters;
  static constexpr int kGroupBytes = (kGroup / 2 + 1) * kRows;

  static IntVec low(IntVec w) { return w & 0x0f0f0f0f; }
  static IntVec high(IntVec w) { return w >> 4 & 0x0f0f0f0f; }

  // Calls use(number of a word, vector of rows, words) for a group's words of 4 columns.
  template <class Use>
  static void for_group(const uint8_t* group, Use use) {
#pragma GCC unroll 4
    for (int q = 0; q < kQuarters; ++q)
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) {
        const IntVec w = load_as<IntVec>(group + q * kQuarterBytes + j * 4 * kLanes);
        use(q, j, low(w));
        use(q + kQuarters, j, high(w));
      }
  }

  static Vec scale(const uint8_t* group, int j) {
    return group_scales(group + kGroup / 2 * kRows + j * kLanes);
  }

  // Sums of a group's nibbles times bytes for kLanes rows, on from a number. Older instructions add
  // to 16 bits: a group's 8 sums of two products of at most 15 * 127 fit into them.
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
  static IntVec begin(int32_t) { return IntVec{}; }
#if defined(__AVX512BW__)
  static IntVec add(IntVec total, IntVec nibbles, IntVec x) {
    const __m512i pairs = _mm512_maddubs_epi16((__m512i)nibbles, (__m512i)x);
    return (IntVec)_mm512_add_epi16((__m512i)total, pairs);
  }
  static IntVec result(IntVec total, int32_t start) {
    return (IntVec)_mm512_madd_epi16((__m512i)total, _mm512_set1_epi16(1)) + start;
  }
#else
  static IntVec add(IntVec total, IntVec nibbles, IntVec x) {
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)nibbles, (__m256i)x);
    return (IntVec)_mm256_add_epi16((__m256i)total, pairs);
  }
  static IntVec result(IntVec total, int32_t start) {
    return (IntVec)_mm256_madd_epi16((__m256i)total, _mm256_set1_epi16(1)) + start;
  }
#endif
#else
  static IntVec begin(int32_t start) { return IntVec{} + start; }
  static IntVec add(IntVec total, IntVec nibbles, IntVec x) {
#if defined(__AVX512VNNI__)
    return (IntVec)_mm512_dpbusd_epi32((__m512i)total, (__m512i)nibbles, (__m512i)x);
#else
    for (int i = 0; i < 32; i += 8) total += (nibbles >> i & 15) * (x << (24 - i) >> 24);
    return total;
#endif
  }
  static IntVec result(IntVec total, int32_t) { return total; }
#endif
};

template <>
inline int64_t panel_bytes<Int4>(int64_t columns) {
  return ceil_div(columns, kGroup) * Int4::kGroupBytes + kRows;
}

// y[0..63] = panel · x for one rounded token; F: Int4 or Int4Columns.
template <class F>
__attribute__((noinline)) inline void multiply_int4(const uint8_t* panel, int64_t columns,
                                                    const float* x, float* y) {
  using Tokens = RoundedBytes;
  // A quarter of the lines is asked for so far ahead, into the second cache: enough for the
  // processor's own fetching to follow, which all of them would be in the way of. Shorter vectors do
  // best without. Measured.
  constexpr int kAhead = 4 * Int4::kGroupBytes;
  Vec totals[kVecs] = {};
  for (int64_t left = Tokens::count(columns); left > 0; --left) {
    IntVec sums[kVecs];
    for (int j = 0; j < kVecs; ++j) sums[j] = Int4::begin(Tokens::start(x));
    F::for_group(panel, [&](int i, int j, IntVec w) {
      if (kLanes == 16 && i < Int4::kQuarters && j == 0)
        __builtin_prefetch(panel + kAhead + i * Int4::kQuarterBytes, 0, 2);
      sums[j] = Int4::add(sums[j], w, IntVec{} + Tokens::words(x)[i]);
    });
    for (int j = 0; j < kVecs; ++j) {
      const IntVec sum = Int4::result(sums[j], Tokens::start(x));
      totals[j] += Tokens::total(sum, x) * Int4::scale(panel, j);
    }
    panel += Int4::kGroupBytes, x += Tokens::kSize;
  }
  for (int j = 0; j < kVecs; ++j)
    store(y + j * kLanes, totals[j] * row_powers(panel + j * kLanes));
}
