// Products of 4-bit weights, in integers: inputs are rounded to 8 bits in groups of 32 with a
// scale of their own, as the weights are, so that a group's sum is exact and one instruction
// multiplies 32 pairs. Unpacking to floats instead took three times as long as memory.
#pragma once

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

// Sums of nibbles times bytes for kLanes rows. A group's 8 sums of two products of at most
// 15 * 127 fit into 16 bits.
struct NibbleSum {
#if defined(__AVX512VNNI__)
  __m512i total = _mm512_setzero_si512();
  static __m512i spread(const int32_t* x) { return _mm512_set1_epi32(*x); }
  static __m512i low(__m512i w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
  static __m512i high(__m512i w) { return low(_mm512_srli_epi16(w, 4)); }
  static __m512i load(const void* p) { return _mm512_loadu_si512(p); }
  void add(__m512i nibbles, __m512i x) { total = _mm512_dpbusd_epi32(total, nibbles, x); }
  IntVec result() const { return (IntVec)total; }
#elif defined(__AVX512BW__)
  __m512i total = _mm512_setzero_si512();
  static __m512i spread(const int32_t* x) { return _mm512_set1_epi32(*x); }
  static __m512i low(__m512i w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
  static __m512i high(__m512i w) { return low(_mm512_srli_epi16(w, 4)); }
  static __m512i load(const void* p) { return _mm512_loadu_si512(p); }
  void add(__m512i nibbles, __m512i x) {
    total = _mm512_add_epi16(total, _mm512_maddubs_epi16(nibbles, x));
  }
  IntVec result() const { return (IntVec)_mm512_madd_epi16(total, _mm512_set1_epi16(1)); }
#elif defined(__AVX2__)
  typedef int16_t Shorts __attribute__((vector_size(32)));
  Shorts total{};
  static IntVec spread(const int32_t* x) { return IntVec{} + *x; }
  static IntVec low(IntVec w) { return w & 0x0f0f0f0f; }
  static IntVec high(IntVec w) { return (w >> 4) & 0x0f0f0f0f; }
  static IntVec load(const void* p) { return load_as<IntVec>(p); }
  void add(IntVec nibbles, IntVec x) {
    total += (Shorts)_mm256_maddubs_epi16((__m256i)nibbles, (__m256i)x);
  }
  IntVec result() const { return (IntVec)_mm256_madd_epi16((__m256i)total, _mm256_set1_epi16(1)); }
#else
  IntVec total{};
  static const int8_t* spread(const int32_t* x) { return (const int8_t*)x; }
  static IntVec low(IntVec w) { return w & 0x0f0f0f0f; }
  static IntVec high(IntVec w) { return (w >> 4) & 0x0f0f0f0f; }
  static IntVec load(const void* p) { return load_as<IntVec>(p); }
  void add(IntVec nibbles, const int8_t* x) {
    for (int i = 0; i < 4; ++i) total += ((nibbles >> (8 * i)) & 15) * (int32_t)x[i];
  }
  IntVec result() const { return total; }
#endif
};

// y[0..63] = panel · x for one token, given as RoundedBytes.
__attribute__((noinline)) inline void multiply_int4(const uint8_t* panel, int64_t columns,
                                                    const float* x, float* y) {
  const RoundedBytes token{x, RoundedBytes::count(columns)};
  Vec totals[kVecs] = {};
  for (int64_t g = 0; g < token.groups; ++g) {
    const uint8_t* group = panel + g * Int4::kGroupBytes;
    for (int line = 0; line < Int4::kGroupBytes; line += 64)
      __builtin_prefetch(group + 2048 + line, 0, 0);
    NibbleSum sums[kVecs];
    const int32_t* values = token.words() + g * RoundedBytes::kWords;
    for (int q = 0; q < Int4::kQuarters; ++q)
      for (int j = 0; j < kVecs; ++j) {
        const auto w = NibbleSum::load(group + (q * kRows + j * kLanes) * 4);
        sums[j].add(NibbleSum::low(w), NibbleSum::spread(values + q));
        sums[j].add(NibbleSum::high(w), NibbleSum::spread(values + q + Int4::kQuarters));
      }
    for (int j = 0; j < kVecs; ++j) {
      const Vec scale = load_fp16(group + kGroup / 2 * kRows + j * 2 * kLanes) * token.scale(g);
      totals[j] += __builtin_convertvector(sums[j].result() - token.offset(g), Vec) * scale;
    }
  }
  for (int j = 0; j < kVecs; ++j) store(y + j * kLanes, totals[j]);
}
