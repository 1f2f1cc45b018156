// Products of 8-bit weights, in integers: inputs are rounded too, so that one instruction
// multiplies and adds the weights of a row's neighbouring columns, which lie together in words.
#pragma once

#include "panels.h"

#if defined(__AVX512VNNI__)
// Bytes times bytes: inputs of 8 bits in groups of 32. The instruction takes weights without a
// sign, so 128 is added to them.
struct Int8 {
  static constexpr int kColumns = 4, kZero = 128;
  using Tokens = RoundedBytes;
  static IntVec word(const uint8_t* p) { return load_as<IntVec>(p); }
  static IntVec add(IntVec total, IntVec w, IntVec x) {
    return (IntVec)_mm512_dpbusd_epi32((__m512i)total, (__m512i)w, (__m512i)x);
  }
#else
// 16-bit inputs in blocks of 256, and weights made 16 bits wide: sums of bytes times bytes would
// need more than the 16 bits that older instructions add them up in.
struct Int8 {
  static constexpr int kColumns = 2, kZero = 0;
  using Tokens = RoundedShorts;

  static IntVec word(const uint8_t* p) {
#if defined(__AVX512BW__)
    return (IntVec)_mm512_cvtepi8_epi16(load_as<__m256i>(p));
#elif defined(__AVX2__)
    return (IntVec)_mm256_cvtepi8_epi16(load_as<__m128i>(p));
#else
    typedef int8_t Bytes __attribute__((vector_size(kLanes * 2)));
    typedef int16_t Shorts __attribute__((vector_size(kLanes * 4)));
    const Shorts both = __builtin_convertvector(load_as<Bytes>(p), Shorts);
    return load_as<IntVec>(&both);
#endif
  }

  static IntVec add(IntVec total, IntVec w, IntVec x) {
#if defined(__AVX512BW__)
    return total + (IntVec)_mm512_madd_epi16((__m512i)w, (__m512i)x);
#elif defined(__AVX2__)
    return total + (IntVec)_mm256_madd_epi16((__m256i)w, (__m256i)x);
#else
    return total + (w << 16 >> 16) * (x << 16 >> 16) + (w >> 16) * (x >> 16);
#endif
  }
#endif
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
  // How far ahead memory is asked for, and how near it shall come: into the first cache or, where
  // vectors are twice as long, into the second. Measured.
  static constexpr int64_t kAhead = kLanes == 16 ? 4096 : 1024;
  static constexpr int kCache = kLanes == 16 ? 2 : 3;

  template <class Use>
  void visit(const uint8_t* panel, int64_t end, Use use) {
    for (; at < end; ++at) {
      for (int line = 0; line < Int8::kStep; line += 64)
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
