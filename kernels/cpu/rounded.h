// Inputs of integer products, rounded once for all panels. A row of floats holds one token.
#pragma once

#include <algorithm>

#include "vec.h"

typedef int8_t ByteVec __attribute__((vector_size(kLanes)));
typedef int16_t ShortVec __attribute__((vector_size(kLanes * 2)));

constexpr int kGroup = 32;  // columns that share an int4 scale
// Columns whose 16-bit inputs share a scale: a sum of as many products with int8 stays below 2^31.
constexpr int kBlockColumns = 256;

// x times inverse, rounded to integers below 2^22.
inline IntVec to_integers(Vec x, Vec inverse) {
  // Adding 1.5 * 2^23 rounds to the nearest integer in the low bits.
  const Vec moved = x * inverse + splat(12582912.0f);
  IntVec bits;
  std::memcpy(&bits, &moved, sizeof(bits));
  return bits - 0x4b400000;
}

// Whole numbers of so few bits, in as many bytes.
inline ByteVec narrow(IntVec x, ByteVec) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  // The compiler would move each lane by itself.
  const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)x),
                                         _mm256_extracti128_si256((__m256i)x, 1));
  const __m128i bytes = _mm_packs_epi16(shorts, shorts);
  return load_as<ByteVec>(&bytes);
#else
  return __builtin_convertvector(x, ByteVec);
#endif
}

inline ShortVec narrow(IntVec x, ShortVec) { return __builtin_convertvector(x, ShortVec); }

// Rounds n vectors of numbers, the largest becoming `end`, and stores them as Narrow.
// Returns their scale, which is NaN where an input is not finite, and adds them up in total.
template <int n, class Narrow, class Element>
inline float round_together(const float* x, int64_t count, int end, Element* to, IntVec& total) {
  Vec part[n], largest{}, poison{};
  for (int i = 0; i < n; ++i) {
    part[i] = count > i * kLanes ? load_part(x + i * kLanes, count - i * kLanes) : Vec{};
    largest = larger(largest, part[i] < Vec{} ? -part[i] : part[i]);
    poison += part[i] * 0.0f;
  }
  float most = 0;
  for (int i = 0; i < kLanes; ++i) most = std::max(most, largest[i]);
  const Vec inverse = splat(most > 1e-30f ? end / most : 0);
  for (int i = 0; i < n; ++i) {
    const IntVec whole = to_integers(part[i], inverse);
    const Narrow few = narrow(whole, Narrow{});
    std::memcpy(to + i * kLanes, &few, sizeof(few));
    total += whole;
  }
  return most / end + sum(poison);
}

// A row's floats, so many that all rows lie alike in the cache's lines.
inline int64_t whole_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

// For int4: groups of 32 bytes, then the groups' scales, then 8 times the bytes' sums.
struct RoundedBytes {
  static constexpr int kWords = kGroup / 4;  // of 32 bits, that share a scale
  const float* row;
  int64_t groups;

  static int64_t count(int64_t columns) { return (columns + kGroup - 1) / kGroup; }
  static int64_t floats(int64_t columns) { return whole_lines(count(columns) * (kWords + 2)); }

  const int32_t* words() const { return (const int32_t*)row; }
  float scale(int64_t group) const { return row[groups * kWords + group]; }
  int32_t offset(int64_t group) const { return words()[groups * (kWords + 1) + group]; }

  static void round(const float* x, int64_t columns, float* row) {
    const int64_t groups = count(columns);
    for (int64_t g = 0; g < groups; ++g) {
      IntVec total{};
      row[groups * kWords + g] = round_together<kGroup / kLanes, ByteVec>(
          x + g * kGroup, columns - g * kGroup, 127, (int8_t*)row + g * kGroup, total);
      int32_t all = 0;
      for (int i = 0; i < kLanes; ++i) all += total[i];
      ((int32_t*)row)[groups * (kWords + 1) + g] = 8 * all;
    }
  }
};

// For int8: blocks of 256 integers of 16 bits, then the blocks' scales.
struct RoundedShorts {
  static constexpr int kWords = kBlockColumns / 2;
  const float* row;
  int64_t blocks;

  static int64_t count(int64_t columns) { return (columns + kBlockColumns - 1) / kBlockColumns; }
  static int64_t floats(int64_t columns) { return whole_lines(count(columns) * (kWords + 1)); }

  const int32_t* words() const { return (const int32_t*)row; }
  float scale(int64_t block) const { return row[blocks * kWords + block]; }
  static int32_t offset(int64_t) { return 0; }

  static void round(const float* x, int64_t columns, float* row) {
    const int64_t blocks = count(columns);
    for (int64_t b = 0; b < blocks; ++b) {
      IntVec total{};
      row[blocks * kWords + b] = round_together<kBlockColumns / kLanes, ShortVec>(
          x + b * kBlockColumns, columns - b * kBlockColumns, 32767,
          (int16_t*)row + b * kBlockColumns, total);
    }
  }
};
