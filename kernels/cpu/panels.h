// Weights in panels: 64 rows (outputs) side by side, column after column (input), so that a
// product reads memory in one stream, multiplies by one broadcast input at a time, and never
// adds up a vector's lanes. Rows past the matrix's last are zeros.
//
// A format says how one column of a panel is kept and turned into floats. The order of rows
// inside a column suits this processor's vectors, so panels never leave the process.
#pragma once

#include <type_traits>

#include "rounded.h"

constexpr int kRows = 64;
constexpr int kVecs = kRows / kLanes;
// Columns added up before they join the sum of all: rounding errors grow with the longest chain.
constexpr int64_t kSummed = 64;

typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

// Formats that become floats: bytes of a column, and vectors j and j + 1 of one, j being even. How
// many columns meet inputs together, which `some` lays side by side; the last may be alone.
template <class F>
struct Floats {
  static constexpr int kTogether = 1;
  static void some(const uint8_t* column, bool is_alone, int j, Vec& first, Vec& second) {
    F::two(column, j, first, second);
  }
  static Vec add(Vec total, Vec w, Vec x) { return total + w * x; }
  static float input(const float* x, int64_t c) { return x[c]; }
};

struct Float32 : Floats<Float32> {
  static constexpr int kColumn = 4 * kRows;
  static void two(const uint8_t* column, int j, Vec& first, Vec& second) {
    first = load_as<Vec>(column + j * sizeof(Vec));
    second = load_as<Vec>(column + (j + 1) * sizeof(Vec));
  }
};

struct Float16 : Floats<Float16> {
  static constexpr int kColumn = 2 * kRows;
  static void two(const uint8_t* column, int j, Vec& first, Vec& second) {
    first = load_fp16(column + j * 2 * kLanes);
    second = load_fp16(column + (j + 1) * 2 * kLanes);
  }
};

// bf16 is the upper half of a float. Lane i of a pair holds rows i and i + kLanes, so that a
// shift and a mask unpack them.
struct Bfloat16 : Floats<Bfloat16> {
  static constexpr int kColumn = 2 * kRows;
  // Of a row's word in a column.
  static int64_t place(int64_t row) {
    const int64_t pair = row / (2 * kLanes), half = row / kLanes % 2, lane = row % kLanes;
    return pair * 2 * kLanes + lane * 2 + half;
  }
  static Vec first(IntVec words) { return as_floats(words << 16); }
  static Vec second(IntVec words) { return as_floats(words & (int32_t)0xffff0000); }
  static void two(const uint8_t* column, int j, Vec& a, Vec& b) {
    const IntVec words = load_as<IntVec>(column + j * 2 * kLanes);
    a = first(words), b = second(words);
  }
};

// The same weights for inputs that are rounded to bf16 too, where one instruction multiplies and
// adds those of two columns.
struct Bfloat16Rounded : Bfloat16 {
#if defined(__AVX512BF16__)
  static constexpr int kTogether = 2;

  static void some(const uint8_t* column, bool is_alone, int j, Vec& first, Vec& second) {
    constexpr __mmask32 odd = 0xaaaaaaaa;
    const auto a = load_as<__m512i>(column + j * 2 * kLanes);
    const auto b = is_alone ? __m512i{} : load_as<__m512i>(column + kColumn + j * 2 * kLanes);
    first = (Vec)_mm512_mask_blend_epi16(odd, a, _mm512_slli_epi32(b, 16));
    second = (Vec)_mm512_mask_blend_epi16(odd, _mm512_srli_epi32(a, 16), b);
  }

  static Vec add(Vec total, Vec w, Vec x) {
    return (Vec)_mm512_dpbf16_ps((__m512)total, (__m512bh)w, (__m512bh)x);
  }

  static float input(const float* x, int64_t c) {
    const uint32_t bits = (uint32_t)((const uint16_t*)x)[c] << 16;
    return load_as<float>(&bits);
  }
#endif
};

// Whether inputs are rounded for a format that multiplies floats.
template <class F>
constexpr bool kIsRounded = std::is_base_of_v<Bfloat16Rounded, F> && Bfloat16Rounded::kTogether > 1;

// Hands out a column's vectors, so that each is used before the next takes its register.
template <class F, class Use>
inline void for_column(const uint8_t* column, Use use) {
  for (int j = 0; j < kVecs; j += 2) {
    Vec first, second;
    F::two(column, j, first, second);
    use(j, first);
    use(j + 1, second);
  }
}

template <class F>
inline int64_t panel_bytes(int64_t columns) {
  return columns * F::kColumn;
}

// Which inputs a product visits: all, or those that are not zero.
struct AllColumns {
  int64_t count;
  int64_t operator[](int64_t i) const { return i; }
  static constexpr int64_t kAhead = 4096;
  // Some way ahead, which the processor's own prefetching does not reach in time where columns must be
  // unpacked to long vectors. Else it is in the way. Measured.
  // Inlined early, or else the compiler takes it for a call without effect.
  __attribute__((always_inline)) void prefetch(const uint8_t* panel, int64_t i,
                                               int64_t bytes) const {
    if (kLanes != 16 || bytes == sizeof(float) * kRows) return;
    for (int64_t line = 0; line < bytes; line += 64)
      __builtin_prefetch(panel + i * bytes + kAhead + line);
  }
};

struct SomeColumns {
  const int32_t* index;
  int64_t count;
  int64_t operator[](int64_t i) const { return index[i]; }
  // The processor cannot guess where the next column is. The index has room past its end.
  static constexpr int kRoom = 24;
  int64_t ahead(int64_t i) const { return index[i + kRoom]; }
  __attribute__((always_inline)) void prefetch(const uint8_t* panel, int64_t i,
                                               int64_t bytes) const {
    for (int64_t line = 0; line < bytes; line += 64)
      __builtin_prefetch(panel + index[i + 8] * bytes + line);
  }
};

// Totals of a tile nearly fill the vector registers: 16 of them, or 32 with AVX-512, where a tile is
// a whole panel wide.
constexpr int kTileTokens = 6, kTileVecs = kLanes == 16 ? 4 : 2;

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

// Calls use(std::integral_constant<int, n>) for 1 to N.
template <int N, class Use>
inline void with_count(int64_t n, Use use) {
  if (n == N) return use(std::integral_constant<int, N>{});
  if constexpr (N > 1) with_count<N - 1>(n, use);
}

// y[0..63] = panel · x, for one token; x is rounded if the format says so. Never inlined: among
// other code the totals leave their registers, and a product takes a third longer.
template <class F>
struct Panel {
  __attribute__((noinline)) static void multiply(const uint8_t* panel, int64_t columns,
                                                 const float* x, AllColumns visited, Vec* y) {
    for (int j = 0; j < kVecs; ++j) y[j] = Vec{};
    for (int64_t c = 0; c < columns;) {
      Vec total[kVecs] = {};
      const auto step = [&](bool is_alone) {
        visited.prefetch(panel, c, F::kColumn);
        if (F::kTogether > 1) visited.prefetch(panel, c + 1, F::kColumn);
        const Vec xc = splat(x[c / F::kTogether]);
        for (int j = 0; j < kVecs; j += 2) {
          Vec first, second;
          F::some(panel + c * F::kColumn, is_alone, j, first, second);
          total[j] = F::add(total[j], first, xc);
          total[j + 1] = F::add(total[j + 1], second, xc);
        }
      };
      const int64_t end = std::min(c + kSummed, columns), whole = end / F::kTogether * F::kTogether;
      for (; c < whole; c += F::kTogether) step(false);
      if (c < end) step(true), c = end;
      for (int j = 0; j < kVecs; ++j) y[j] += total[j];
    }
  }

  __attribute__((noinline)) static void multiply(const uint8_t* panel, int64_t columns,
                                                 const float* x, SomeColumns visited, Vec* y) {
    for (int j = 0; j < kVecs; ++j) y[j] = Vec{};
    for (int64_t i = 0; i < visited.count;) {
      Vec total[kVecs] = {};
      for (const int64_t end = std::min(i + kSummed, visited.count); i < end; ++i) {
        const int64_t c = visited[i];
        visited.prefetch(panel, i, F::kColumn);
        const Vec xc = splat(F::input(x, c));
        for_column<F>(panel + c * F::kColumn, [&](int j, Vec w) { total[j] += w * xc; });
      }
      for (int j = 0; j < kVecs; ++j) y[j] += total[j];
    }
  }
};
