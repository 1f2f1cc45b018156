// Products of 8-bit weights, in integers: inputs are rounded to 16 bits in blocks of 256, so that
// one instruction multiplies and adds the weights of a row's two neighbouring columns.
#pragma once

#include "panels.h"

// Pairs of columns of 64 rows: both weights of the first row, both of the second, and so on. The
// panel ends in a float32 scale for each row.
struct Int8 {
  static constexpr int kPair = 2 * kRows;
  static constexpr int64_t pairs(int64_t columns) { return (columns + 1) / 2; }

  // Two columns of the kLanes rows at p, as 16-bit numbers.
  static IntVec pair(const uint8_t* p) {
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

  static const float* scales(const uint8_t* panel, int64_t columns) {
    return (const float*)(panel + pairs(columns) * kPair);
  }
};

template <>
inline int64_t panel_bytes<Int8>(int64_t columns) {
  return Int8::pairs(columns) * Int8::kPair + 4 * kRows;
}

// Sums of pairs of 16-bit numbers.
struct PairSum {
  IntVec total{};
  static IntVec spread(const int32_t* x) { return IntVec{} + *x; }
  void add(IntVec w, IntVec x) {
#if defined(__AVX512VNNI__)
    total = (IntVec)_mm512_dpwssd_epi32((__m512i)total, (__m512i)w, (__m512i)x);
#elif defined(__AVX512BW__)
    total += (IntVec)_mm512_madd_epi16((__m512i)w, (__m512i)x);
#elif defined(__AVX2__)
    total += (IntVec)_mm256_madd_epi16((__m256i)w, (__m256i)x);
#else
    total += (w << 16 >> 16) * (x << 16 >> 16) + (w >> 16) * (x >> 16);
#endif
  }
  IntVec result() const { return total; }
};

// Which pairs of columns a product visits, block after block.
struct AllPairs {
  int64_t at = 0;

  template <class Use>
  void visit(const uint8_t* panel, int64_t end, Use use) {
    for (; at < end; ++at) {
      for (int line = 0; line < Int8::kPair; line += 64)
        __builtin_prefetch(panel + at * Int8::kPair + 1024 + line);
      use(at);
    }
  }
};

// Those with an input that is not zero.
struct SomePairs {
  SomeColumns columns;
  int64_t at = 0;

  template <class Use>
  void visit(const uint8_t* panel, int64_t end, Use use) {
    while (at < columns.count && columns[at] / 2 < end) {
      const int64_t pair = columns[at] / 2;
      for (int line = 0; line < Int8::kPair; line += 64)
        __builtin_prefetch(panel + columns[at + 8] / 2 * Int8::kPair + line);
      use(pair);
      at += at + 1 < columns.count && columns[at + 1] / 2 == pair ? 2 : 1;
    }
  }
};

// y[0..63] = panel · x for one token, given as RoundedShorts. Not inlined, as Panel::multiply.
template <class Pairs>
__attribute__((noinline)) inline void multiply_int8(const uint8_t* panel, int64_t columns,
                                                    const float* x, Pairs visited, float* y) {
  const RoundedShorts token{x, RoundedShorts::count(columns)};
  Vec totals[kVecs] = {};
  for (int64_t block = 0; block < token.blocks; ++block) {
    PairSum sums[kVecs];
    const int64_t end = std::min(Int8::pairs(columns), (block + 1) * RoundedShorts::kWords);
    visited.visit(panel, end, [&](int64_t pair) {
      const auto spread = PairSum::spread(token.words() + pair);
      const uint8_t* weights = panel + pair * Int8::kPair;
      for (int j = 0; j < kVecs; ++j) sums[j].add(Int8::pair(weights + j * 2 * kLanes), spread);
    });
    for (int j = 0; j < kVecs; ++j)
      totals[j] += __builtin_convertvector(sums[j].result(), Vec) * token.scale(block);
  }
  const float* scales = Int8::scales(panel, columns);
  for (int j = 0; j < kVecs; ++j) store(y + j * kLanes, totals[j] * load(scales + j * kLanes));
}
