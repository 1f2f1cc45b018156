// Inputs of integer products, rounded once for all panels. A row of floats holds one token.
#pragma once

#include <algorithm>
#include <cmath>

#include "vec.h"

typedef int8_t ByteVec __attribute__((vector_size(kLanes)));
typedef int16_t ShortVec __attribute__((vector_size(kLanes * 2)));

constexpr int kGroup = 32;  // columns that share an int4 scale

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
template <int n, class Narrow>
inline float round_together(const float* x, int64_t count, int end, void* to, IntVec& total) {
  constexpr int32_t kInfinity = 0x7f800000;
  Vec part[n];
  IntVec largest{};  // the bits of numbers without a sign are in their order, NaN being the last
  for (int i = 0; i < n; ++i) {
    part[i] = count > i * kLanes ? load_part(x + i * kLanes, count - i * kLanes) : Vec{};
    const IntVec bits = load_as<IntVec>(&part[i]) & 0x7fffffff;
    largest = largest > bits ? largest : bits;
  }
  const int32_t bits = largest_lane(largest);
  const float most = load_as<float>(&bits);
  const Vec inverse = splat(most > 1e-30f && bits < kInfinity ? end / most : 0);
  for (int i = 0; i < n; ++i) {
    const IntVec whole = to_integers(part[i], inverse);
    const Narrow few = narrow(whole, Narrow{});
    std::memcpy((uint8_t*)to + i * sizeof(few), &few, sizeof(few));
    total += whole;
  }
  return bits < kInfinity ? most / end : NAN;
}

// A row's floats, so many that all rows lie alike in the cache's lines.
inline int64_t whole_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

// Groups of columns one after the other: words of 32 bits that hold their integers, the scale, and
// what to add to a group's products, as weights are kept with `zero` added to them.
template <class Narrow, int kSharing_>
struct Rounded {
  static constexpr int kSharing = kSharing_, kBytes = sizeof(Narrow) / kLanes;
  static constexpr int kWords = kSharing * kBytes / 4, kSize = kWords + 2;

  static int64_t count(int64_t columns) { return (columns + kSharing - 1) / kSharing; }
  static int64_t floats(int64_t columns) { return whole_lines(count(columns) * kSize); }

  // Of a group.
  static const int32_t* words(const float* group) { return (const int32_t*)group; }
  static float scale(const float* group) { return group[kWords]; }
  static int32_t start(const float* group) { return words(group)[kWords + 1]; }

  static void round(const float* x, int64_t columns, int32_t zero, float* row) {
    constexpr int end = (1 << (8 * kBytes - 1)) - 1;
    for (int64_t first = 0; first < columns; first += kSharing, row += kSize) {
      IntVec total{};
      row[kWords] = round_together<kSharing / kLanes, Narrow>(x + first, columns - first, end, row,
                                                              total);
      const int32_t start = zero ? -zero * sum(total) : 0;
      std::memcpy(row + kWords + 1, &start, sizeof(start));
    }
  }
};

using RoundedBytes = Rounded<ByteVec, kGroup>;
// A sum of as many products of 16-bit inputs with int8 stays below 2^31.
using RoundedShorts = Rounded<ShortVec, 256>;

// Words of two neighbouring columns as bf16, for processors that multiply those.
struct RoundedHalves {
  static int64_t floats(int64_t columns) { return whole_lines((columns + 1) / 2); }

  static void round(const float* x, int64_t columns, float* row) {
#if defined(__AVX512BF16__)
    for (int64_t c = 0; c < columns; c += kLanes) {
      const __m256bh halves = _mm512_cvtneps_pbh((__m512)load_part(x + c, columns - c));
      std::memcpy((uint16_t*)row + c, &halves, sizeof(halves));
    }
#endif
  }
};
