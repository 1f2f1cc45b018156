// Products of 8-bit weights, in integers: inputs are rounded too, so that one instruction
// multiplies and adds the weights of a row's neighbouring columns, which lie together in words.
#pragma once

#include "panels.h"

// Bytes times bytes: inputs of 8 bits in groups. The instructions take weights without a sign, so 128 is
// added to them.
struct Int8 {
  static constexpr int kColumns = 4, kZero = 128;
#if defined(__AVX512VNNI__)
  using Tokens = RoundedBytes;
#else
  using Tokens = RoundedPairs;
#endif

  static IntVec word(const uint8_t* p) { return load_as<IntVec>(p); }

  static IntVec add(IntVec total, IntVec w, IntVec x) {
#if defined(__AVX512VNNI__)
    return (IntVec)_mm512_dpbusd_epi32((__m512i)total, (__m512i)w, (__m512i)x);
#elif defined(__AVX512BW__)
    const __m512i pairs = _mm512_maddubs_epi16((__m512i)w, (__m512i)x);
    return total + (IntVec)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif defined(__AVX2__)
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)w, (__m256i)x);
    return total + (IntVec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    // Products of 16 bits: the first and third, then the second and fourth bytes.
    typedef int16_t Shorts __attribute__((vector_size(kLanes * 4)));
    const IntVec later = w >> 8;
    const Shorts shorts = load_as<Shorts>(&x);
    const Shorts one = (load_as<Shorts>(&w) & 255) * (shorts << 8 >> 8);
    const Shorts two = (load_as<Shorts>(&later) & 255) * (shorts >> 8);
    const IntVec first = load_as<IntVec>(&one), second = load_as<IntVec>(&two);
    return total + (first << 16 >> 16) + (first >> 16) + (second << 16 >> 16) + (second >> 16);
#endif
  }

  static IntVec begin(int32_t start) { return IntVec{} + start; }
  static IntVec result(IntVec total, int32_t) { return total; }

  // A word of each of 64 rows, of whole groups of columns. The panel ends in a float32 scale for
  // each row.
  static constexpr int kStep = kColumns * kRows, kVector = kColumns * kLanes;
  static int64_t words(int64_t columns) { return ceil_div(columns, kGroup) * kGroup / kColumns; }
  static const float* scales(const uint8_t* panel, int64_t columns) {
    return (const float*)(panel + words(columns) * kStep);
  }
};

template <>
inline int64_t panel_bytes<Int8>(int64_t columns) {
  return Int8::words(columns) * Int8::kStep + 4 * kRows;
}

// Which words a product visits, group after group.
struct AllWords {
  int64_t at = 0;
  // How far ahead memory is asked for, and how near it shall come: into the second cache. Shorter vectors
  // leave that to the processor, and fetch into the first one for many tokens. Measured.
  static constexpr int64_t kAhead = 4096;
  static constexpr int kCache = kLanes == 16 ? 2 : 3;

  template <class Use>
  void visit(const uint8_t* panel, int64_t end, Use use) {
    for (; at < end; ++at) {
      for (int line = 0; kLanes == 16 && line < Int8::kStep; line += 64)
        __builtin_prefetch(panel + at * Int8::kStep + kAhead + line, 0, kCache);
      use(at);
    }
  }
};

// Those with an input that is not zero.
struct SomeWords {
  SomeColumns columns;
  int64_t at = 0;

  template <class Use>
  void visit(const uint8_t* panel, int64_t end, Use use) {
    while (at < columns.count && columns[at] / Int8::kColumns < end) {
      const int64_t word = columns[at] / Int8::kColumns;
      for (int line = 0; line < Int8::kStep; line += 64)
        __builtin_prefetch(panel + columns[at + 8] / Int8::kColumns * Int8::kStep + line);
      use(word);
      while (at < columns.count && columns[at] / Int8::kColumns == word) ++at;
    }
  }
};

// y[0..63] = panel · x for one rounded token. Not inlined, as Panel::multiply.
template <class Words>
__attribute__((noinline)) inline void multiply_int8(const uint8_t* panel, int64_t columns,
                                                    const float* x, Words visited, float* y) {
  using Tokens = Int8::Tokens;
  Vec totals[kVecs] = {};
  const int64_t words = Int8::words(columns);
  for (int64_t first = 0; first < words; first += Tokens::kWords, x += Tokens::kSize) {
    IntVec sums[kVecs];
    for (int j = 0; j < kVecs; ++j) sums[j] = Int8::begin(Tokens::start(x));
    visited.visit(panel, std::min(words, first + Tokens::kWords), [&](int64_t word) {
      const IntVec spread = IntVec{} + Tokens::words(x)[word - first];
      const uint8_t* weights = panel + word * Int8::kStep;
      for (int j = 0; j < kVecs; ++j)
        sums[j] = Int8::add(sums[j], Int8::word(weights + j * Int8::kVector), spread);
    });
    for (int j = 0; j < kVecs; ++j)
      totals[j] += Tokens::total(sums[j], x);
  }
  const float* scales = Int8::scales(panel, columns);
  for (int j = 0; j < kVecs; ++j) store(y + j * kLanes, totals[j] * load(scales + j * kLanes));
}
