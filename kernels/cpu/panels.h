// Weights in panels: 64 rows (outputs) side by side, column after column (input), so that a
// product reads memory in one stream, multiplies by one broadcast input at a time, and never
// adds up a vector's lanes. Rows past the matrix's last are zeros.
//
// A format says how one column of a panel is kept and turned into floats. The order of rows
// inside a column suits this processor's vectors, so panels never leave the process.
#pragma once

#include "rounded.h"

constexpr int kRows = 64;
constexpr int kVecs = kRows / kLanes;
// Columns added up before they join the sum of all: rounding errors grow with the longest chain.
constexpr int64_t kSummed = 64;

typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

template <class T>
inline T load_as(const void* p) {
  T x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}

inline Vec as_floats(IntVec bits) { return load_as<Vec>(&bits); }

// kLanes fp16 numbers as floats.
inline Vec load_fp16(const uint8_t* p) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtph_ps(load_as<__m256i>(p));
#elif defined(__F16C__)
  return (Vec)_mm256_cvtph_ps(load_as<__m128i>(p));
#else
  const IntVec half = __builtin_convertvector(load_as<HalfVec>(p), IntVec);
  // The exponent moves by a product, which also makes subnormal numbers normal.
  const Vec moved = as_floats((half & 0x7fff) << 13) * as_floats(IntVec{} + 0x77800000);
  const IntVec is_special = (half & 0x7c00) == 0x7c00;
  const IntVec bits = load_as<IntVec>(&moved) | (is_special & 0x7f800000);
  return as_floats(bits | ((half & 0x8000) << 16));
#endif
}

// kLanes signed bytes as floats.
inline Vec load_int8(const uint8_t* p) {
#if defined(__AVX512F__)
  const IntVec whole = (IntVec)_mm512_cvtepi8_epi32(load_as<__m128i>(p));
#elif defined(__AVX2__)
  const IntVec whole = (IntVec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  const IntVec whole = __builtin_convertvector(load_as<ByteVec>(p), IntVec);
#endif
  return __builtin_convertvector(whole, Vec);
}

// Each format: bytes of a column, and of what stands at a panel's end. for_column hands out a
// column's kVecs vectors one by one, so that each is used before the next takes its register.
struct Float32 {
  static constexpr int kColumn = 4 * kRows, kTail = 0;
  template <class Use>
  static void for_column(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; ++j) use(j, load_as<Vec>(p + j * sizeof(Vec)));
  }
};

struct Float16 {
  static constexpr int kColumn = 2 * kRows, kTail = 0;
  template <class Use>
  static void for_column(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; ++j) use(j, load_fp16(p + j * 2 * kLanes));
  }
};

// bf16 is the upper half of a float. Lane i of a pair holds rows i and i + kLanes, so that a
// shift and a mask unpack them.
struct Bfloat16 {
  static constexpr int kColumn = 2 * kRows, kTail = 0;
  template <class Use>
  static void for_column(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; j += 2) {
      const IntVec pair = load_as<IntVec>(p + j * 2 * kLanes);
      use(j, as_floats(pair << 16));
      use(j + 1, as_floats(pair & (int32_t)0xffff0000));
    }
  }
};

// The panel ends in a float32 scale for each row.
struct Int8 {
  static constexpr int kColumn = kRows, kTail = 4 * kRows;
  template <class Use>
  static void for_column(const uint8_t* p, Use use) {
    for (int j = 0; j < kVecs; ++j) use(j, load_int8(p + j * kLanes));
  }
};

// 4 bits for products that skip columns; all others use Int4 of int4.h. A group of 32 columns is
// followed by an fp16 scale for each row. A column is kVecs nibbles for each lane: nibble j of lane i belongs to row j kLanes + i. They mean nibble - 8.
struct Int4Columns {
  static constexpr int kColumn = kRows / 2, kTail = 0;
  static constexpr int kGroupBytes = kGroup * kColumn + 2 * kRows;
  static constexpr int kNibbles = kVecs < 8 ? kVecs : 8;  // of one lane in one word

  // Four nibbles are masked where they stand, so vector j has to be multiplied by factor(j).
  static constexpr float factor(int j) { return 1.0f / (1 << (4 * (j % 4))); }

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

  template <class Use>
  static void for_scales(const uint8_t* group, Use use) {
    for (int j = 0; j < kVecs; ++j) use(j, load_fp16(group + kGroup * kColumn + j * 2 * kLanes));
  }
};

template <class F>
inline int64_t panel_bytes(int64_t columns) {
  return columns * F::kColumn + F::kTail;
}

template <>
inline int64_t panel_bytes<Int4Columns>(int64_t columns) {
  return (columns + kGroup - 1) / kGroup * Int4Columns::kGroupBytes;
}

// Which inputs a product visits: all, or those that are not zero.
struct AllColumns {
  int64_t count;
  int64_t operator[](int64_t i) const { return i; }
  // Some way ahead, which the processor's own prefetching does not reach in time where columns
  // must be unpacked; where they need not be, it is in the way. The distances are measured.
  // Inlined early, or else the compiler takes it for a call without effect.
  __attribute__((always_inline)) void prefetch(const uint8_t* panel, int64_t i,
                                               int64_t bytes) const {
    if (bytes == sizeof(float) * kRows) return;
    const int64_t ahead = bytes == 2 * kRows ? 1024 : 2048;
    for (int64_t line = 0; line < bytes; line += 64)
      __builtin_prefetch(panel + i * bytes + ahead + line);
  }
};

struct SomeColumns {
  const int32_t* index;
  int64_t count;
  int64_t operator[](int64_t i) const { return index[i]; }
  // The processor cannot guess where the next column is. The index has room past its end.
  __attribute__((always_inline)) void prefetch(const uint8_t* panel, int64_t i,
                                               int64_t bytes) const {
    for (int64_t line = 0; line < bytes; line += 64)
      __builtin_prefetch(panel + index[i + 8] * bytes + line);
  }
};

// Where vector j of a column goes among unpacked ones: parts of two vectors, each with its columns
// in order.
inline int64_t unpacked_at(int j, int64_t column, int64_t columns) {
  return ((j / 2 * columns + column) * 2 + j % 2) * kLanes;
}

// Shares tokens out to tiles of at most `most`, as evenly as can be: small ones wait for their own
// sums. Calls use(first token, how many).
template <class Use>
inline void for_tiles(int64_t tokens, int64_t most, Use use) {
  for (int64_t t = 0; t < tokens;) {
    const int64_t left = tokens - t, tiles = (left + most - 1) / most;
    const int64_t n = (left + tiles - 1) / tiles;
    use(t, n);
    t += n;
  }
}

// y[0..63] = panel · x, for one token. Never inlined: among other code the totals leave their
// registers, and a product takes a third longer.
template <class F>
struct Panel {
  template <class Columns>
  __attribute__((noinline)) static void multiply(const uint8_t* panel, int64_t columns, const float* x, Columns visited,
                       Vec* y) {
    for (int j = 0; j < kVecs; ++j) y[j] = Vec{};
    for (int64_t i = 0; i < visited.count;) {
      Vec total[kVecs] = {};
      for (const int64_t end = std::min(i + kSummed, visited.count); i < end; ++i) {
        const int64_t c = visited[i];
        visited.prefetch(panel, i, F::kColumn);
        const Vec xc = splat(x[c]);
        F::for_column(panel + c * F::kColumn, [&](int j, Vec w) { total[j] += w * xc; });
      }
      for (int j = 0; j < kVecs; ++j) y[j] += total[j];
    }
    const uint8_t* scale = panel + columns * F::kColumn;
    if (F::kTail)
      for (int j = 0; j < kVecs; ++j) y[j] *= load_as<Vec>(scale + j * sizeof(Vec));
  }

  // Columns first to last as floats, in the order of unpacked_at.
  static void unpack(const uint8_t* panel, int64_t columns, int64_t first, int64_t last, float* w) {
    const uint8_t* scale = panel + columns * F::kColumn;
    for (int64_t c = first; c < last; ++c)
      F::for_column(panel + c * F::kColumn, [&](int j, Vec v) {
        if (F::kTail) v *= load_as<Vec>(scale + j * sizeof(Vec));
        store(w + unpacked_at(j, c - first, last - first), v);
      });
  }
};

template <>
struct Panel<Int4Columns> {
  template <class Columns>
  __attribute__((noinline)) static void multiply(const uint8_t* panel, int64_t columns, const float* x, Columns visited,
                       Vec* y) {
    for (int j = 0; j < kVecs; ++j) y[j] = Vec{};
    for (int64_t i = 0; i < visited.count;) {
      const int64_t first = visited[i] / kGroup * kGroup, end = first + kGroup;
      const uint8_t* group = panel + first / kGroup * Int4Columns::kGroupBytes;
      Vec total[kVecs] = {};
      for (; i < visited.count && visited[i] < end; ++i) {
        const int64_t c = visited[i];
        visited.prefetch(group, c - first, Int4Columns::kColumn);
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
  }

  static void unpack(const uint8_t* panel, int64_t, int64_t first, int64_t last, float* w) {
    for (int64_t c = first; c < last;) {
      const uint8_t* group = panel + c / kGroup * Int4Columns::kGroupBytes;
      Vec scales[kVecs];
      Int4Columns::for_scales(group, [&](int j, Vec scale) { scales[j] = scale; });
      for (const int64_t end = std::min(last, (c / kGroup + 1) * kGroup); c < end; ++c)
        Int4Columns::for_column(group + c % kGroup * Int4Columns::kColumn, [&](int j, Vec v) {
          store(w + unpacked_at(j, c - first, last - first), (v * Int4Columns::factor(j) - 8.0f) * scales[j]);
        });
    }
  }
};
