// Inputs of integer products, rounded once for all panels. A row of floats holds one token.
#pragma once

#include <algorithm>

#include "vec.h"

typedef int8_t ByteVec __attribute__((vector_size(kLanes)));

constexpr int kGroup = 32;  // columns that share an int4 scale

inline Vec as_floats(IntVec bits) { return load_as<Vec>(&bits); }

// x times inverse, rounded to integers below 2^22.
inline IntVec to_integers(Vec x, Vec inverse) {
  // Adding 1.5 * 2^23 rounds to the nearest integer in the low bits.
  const Vec moved = x * inverse + splat(12582912.0f);
  IntVec bits;
  std::memcpy(&bits, &moved, sizeof(bits));
  return bits - 0x4b400000;
}

// Whole numbers of so few bits, in as many bytes.
inline ByteVec narrow(IntVec x) {
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

// Reads n vectors of numbers. Returns the bits of the largest of their sizes, which have no sign: they are
// in the numbers' order, NaN being the last.
template <int n, class Scale>
inline int32_t read_group(const float* x, int64_t count, Vec* part) {
  IntVec largest{};
  for (int i = 0; i < n; ++i) {
    part[i] = count > i * kLanes ? load_part(x + i * kLanes, count - i * kLanes) : Vec{};
    const IntVec size = Scale::size(part[i]);
    largest = largest > size ? largest : size;
  }
  return largest_lane(largest);
}

// Rounds n vectors and stores them as bytes. Returns their sums.
template <int n>
inline IntVec store_group(const Vec* part, float inverse, void* to) {
  IntVec total{};
  for (int i = 0; i < n; ++i) {
    const IntVec whole = to_integers(part[i], splat(inverse));
    const ByteVec few = narrow(whole);
    std::memcpy((uint8_t*)to + i * sizeof(few), &few, sizeof(few));
    total += whole;
  }
  return total;
}

// A row's floats, so many that all rows lie alike in the cache's lines.
inline int64_t whole_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

// How integers of a group stand for numbers up to the largest one, whose bits are given.
struct GroupScale {
  float inverse;  // what numbers are multiplied by before they are rounded
  int32_t kept;   // bits of what total() needs, which makes no number where one is not finite
  int32_t begin;  // where sums begin
};

inline IntVec without_sign(Vec x) { return load_as<IntVec>(&x) & 0x7fffffff; }

// Two neighbours' sizes add up to 128 at most: times bytes without a sign, 128 * 255, they are a number of
// 16 bits, to which processors without VNNI add them up. Of what is not finite, the scale is not.
struct Pairs {
  static IntVec size(Vec x) {
    const Vec sizes = as_floats(without_sign(x));
    const Vec sum = sizes + with_neighbours(sizes);
    return load_as<IntVec>(&sum);
  }
  static GroupScale of(int32_t largest) {
    const float most = load_as<float>(&largest), scale = most / kEnd;
    const bool is_finite = largest < 0x7f800000;
    return {most > 1e-30f && is_finite ? kEnd / most : 0, load_as<int32_t>(&scale), 0};
  }
  static Vec total(IntVec sum, float scale) { return __builtin_convertvector(sum, Vec) * scale; }

  static constexpr int32_t kEnd = 127;  // rounding may add one
};

// 127 becomes 127 times a power of two, which is at most twice as large as need be. Sums begin as a
// float's bits, 1.5 * 2^23 times that power: what integers below 2^22 are added to is then a float
// already, and a subtraction is left, which does not wait for the multipliers. Numbers from
// 2^107 on are not told from infinity.
struct PowerOfTwo {
  static IntVec size(Vec x) { return without_sign(x); }
  static GroupScale of(int32_t largest) {
    // 127 * 2^exponent is at least as large, 127 being 2^6 times 0x1.fcp0.
    const int32_t exponent = (int32_t)(((uint32_t)largest + 0x20000) >> 23) - 127 - 6;
    const int32_t moved = std::clamp(exponent, -kMost, kMost), inverse = (127 - moved) << 23;
    const int32_t begin = 0x4b400000 + moved * (1 << 23);
    return {load_as<float>(&inverse), exponent <= kMost ? begin : kNaN, begin};
  }
  static Vec total(IntVec sum, float begin) { return as_floats(sum) - splat(begin); }

  static constexpr int kMost = 100, kNaN = 0x7fc00000;
};

// Groups of columns one after the other: words of 32 bits that hold their integers, what total()
// needs, and where a group's sums begin, as weights are kept with `zero` added to them.
template <int kSharing_, class Scale>
struct Rounded {
  static constexpr int kSharing = kSharing_, kWords = kSharing / 4, kSize = kWords + 2;

  static int64_t count(int64_t columns) { return (columns + kSharing - 1) / kSharing; }
  static int64_t floats(int64_t columns) { return whole_lines(count(columns) * kSize); }

  // Of a group.
  static const int32_t* words(const float* group) { return (const int32_t*)group; }
  static int32_t start(const float* group) { return words(group)[kWords + 1]; }
  // What its sums, which began there, stand for.
  static Vec total(IntVec sum, const float* group) { return Scale::total(sum, group[kWords]); }

  static void round(const float* x, int64_t columns, int32_t zero, float* row) {
    constexpr int n = kSharing / kLanes;
    for (int64_t first = 0; first < columns; first += kSharing, row += kSize) {
      Vec part[n];
      const GroupScale scale = Scale::of(read_group<n, Scale>(x + first, columns - first, part));
      const IntVec total = store_group<n>(part, scale.inverse, row);
      const int32_t last[] = {scale.kept, scale.begin - (zero ? zero * sum(total) : 0)};
      std::memcpy(row + kWords, last, sizeof(last));
    }
  }
};

using RoundedBytes = Rounded<kGroup, PowerOfTwo>;
// As many columns as a panel has rows, so that its results are whole groups too.
using RoundedPairs = Rounded<64, Pairs>;

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
