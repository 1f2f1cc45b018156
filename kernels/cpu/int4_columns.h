// 4 bits for products that may skip columns; all others use Int4 of int4.h.
#pragma once

#include "int4_scales.h"
#include "panels.h"

// A group of 32 columns is followed by the rows' scales. A column is kVecs nibbles for each
// lane: nibble j of lane i belongs to row j kLanes + i. They mean nibble - 8.
struct Int4Columns {
  static constexpr int kColumn = kRows / 2;
  static constexpr int kGroupBytes = kGroup * kColumn + kRows;
  static constexpr int kNibbles = kVecs < 8 ? kVecs : 8;  // of one lane in one word

  // Four nibbles are masked where they stand, so vector j has to be multiplied by factor(j).
  static constexpr float factor(int j) { return 1.0f / (1 << (4 * (j % 4))); }

  static const uint8_t* column(const uint8_t* panel, int64_t c) {
    return panel + c / kGroup * kGroupBytes + c % kGroup * kColumn;
  }

  // The nibbles of vector j and of its neighbours.
  static IntVec words(const uint8_t* column, int j) {
#if defined(__AVX512F__)
    return (IntVec)_mm512_cvtepu16_epi32(load_as<__m256i>(column));
#else
    return load_as<IntVec>(column + j / 8 * sizeof(IntVec));
#endif
  }

  template <class Use>
  static void for_column(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; j += kNibbles) {
      const IntVec word = words(p, j);
      for (int half = 0; half < kNibbles / 4; ++half)
        for (int i = 0; i < 4; ++i)
          use(j + half * 4 + i,
              __builtin_convertvector((word >> (16 * half)) & (15 << (4 * i)), Vec));
    }
  }

  // Nibbles of four columns as bytes side by side, for each vector of rows. Bytes, which are nibbles
  // of two vectors, are turned first: those of a lane's columns lie above one another until then.
#if defined(__AVX512BW__)
  template <class Use>
  static void for_words(const uint8_t* p, Use use) {
    typedef int16_t Shorts __attribute__((vector_size(64)));
    constexpr Shorts kEven = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                              8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const auto left = load_as<__m512i>(p), right = load_as<__m512i>(p + 64);
    const auto even = (IntVec)_mm512_permutex2var_epi16(left, (__m512i)kEven, right);
    const auto odd = (IntVec)_mm512_permutex2var_epi16(left, (__m512i)(kEven + 16), right);
    split(low_bytes(even, odd), 0, use);
    split(high_bytes(even, odd), 2, use);
  }
#else
  template <class Use>
  static void for_words(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; j += kNibbles) {
      const auto at = [&](int c) { return words(p + c * kColumn, j); };
      const IntVec low[2] = {low_bytes(at(0), at(1)), low_bytes(at(2), at(3))};
      const IntVec high[2] = {high_bytes(at(0), at(1)), high_bytes(at(2), at(3))};
      split((low[0] & 0xffff) | low[1] << 16, j, use);
      split((high[0] & 0xffff) | high[1] << 16, j + 2, use);
      split((low[0] >> 16 & 0xffff) | (low[1] & ~0xffff), j + 4, use);
      split((high[0] >> 16 & 0xffff) | (high[1] & ~0xffff), j + 6, use);
    }
  }
#endif

  // As Int4's.
  template <class Use>
  static void for_group(const uint8_t* group, Use use) {
    for (int i = 0; i < kGroup / 4; ++i)
      for_words(group + 4 * i * kColumn, [&](int j, IntVec word) { use(i, j, word); });
  }

  // Bytes 0 and 2, and 1 and 3, of two words' lanes, those of a word in every other byte.
  static IntVec low_bytes(IntVec a, IntVec b) {
    return (a & 0x00ff00ff) | (b & 0x00ff00ff) << 8;
  }
  static IntVec high_bytes(IntVec a, IntVec b) {
    return (a >> 8 & 0x00ff00ff) | (b & ~0x00ff00ff);
  }

  template <class Use>
  static void split(IntVec bytes, int j, Use use) {
    use(j, bytes & 0x0f0f0f0f);
    use(j + 1, bytes >> 4 & 0x0f0f0f0f);
  }

  template <class Use>
  static void for_scales(const uint8_t* group, Use use) {
    for (int j = 0; j < kVecs; ++j) use(j, group_scales(group + kGroup * kColumn + j * kLanes));
  }
};

template <>
inline int64_t panel_bytes<Int4Columns>(int64_t columns) {
  return ceil_div(columns, kGroup) * Int4Columns::kGroupBytes + kRows;
}

// For inputs that are not rounded; products that read all columns are int4.h's.
template <>
struct Panel<Int4Columns> {
  __attribute__((noinline)) static void multiply(const uint8_t* panel, int64_t columns,
                                                 const float* x, SomeColumns visited, Vec* y) {
    for (int j = 0; j < kVecs; ++j) y[j] = Vec{};
    for (int64_t i = 0; i < visited.count;) {
      const int64_t first = visited[i] / kGroup * kGroup, end = first + kGroup;
      const uint8_t* group = panel + first / kGroup * Int4Columns::kGroupBytes;
      Vec total[kVecs] = {};
      for (; i < visited.count && visited[i] < end; ++i) {
        const int64_t c = visited[i];
        __builtin_prefetch(Int4Columns::column(panel, visited.ahead(i)));
        const Vec xc = splat(x[c]);
        Int4Columns::for_column(group + (c - first) * Int4Columns::kColumn,
                         [&](int j, Vec w) { total[j] += w * xc; });
      }
      Vec inputs{};
      for (int64_t c = first; c < std::min(end, columns); c += kLanes)
        inputs += load_part(x + c, columns - c);
      const Vec offset = splat(8 * sum(inputs));  // 8 for each nibble
      Int4Columns::for_scales(group, [&](int j, Vec scale) {
        y[j] += (total[j] * Int4Columns::factor(j) - offset) * scale;
      });
    }
    const uint8_t* powers = panel + panel_bytes<Int4Columns>(columns) - kRows;
    for (int j = 0; j < kVecs; ++j) y[j] *= row_powers(powers + j * kLanes);
  }
};
