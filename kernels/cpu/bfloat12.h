// Weights of bf16 in 12 bits each, without loss. A trained matrix's numbers are of few sizes: 16 values
// make up nearly all of a panel's upper bytes (sign and seven bits of the exponent), so four bits name
// one of these, and only lower bytes are kept whole. The few other numbers, the strays, are in a list.
#pragma once

#include <utility>

#include "panels.h"

typedef uint8_t Bytes __attribute__((vector_size(kLanes * 4)));

// A number that its panel does not hold.
struct Stray {
  uint32_t place;  // column * kRows + row
  float value;
};

// What belongs to a panel. All lie behind the matrix's last panel, so that panels are one stream.
struct Strays {
  uint8_t upper[16];  // bytes that are named; the first is zero, which strays leave in the panel
  uint64_t count;
  Stray some[1];  // in the order of their columns

  // Adds their products with a token to y. is_sparse: whether only inputs that are not zero count.
  template <class F, bool is_sparse = false>
  void add(const float* x, float* y) const {
    for (const Stray *s = some, *end = s + count; s != end; ++s) {
      const float input = F::Longer::input(x, s->place / kRows);
      if (!is_sparse || input != 0) y[s->place % kRows] += s->value * input;
    }
  }
};

// The upper bytes of four-bit names, these joined with lower bytes, and the parts of what is joined.
struct Uppers {
#if defined(__AVX512BW__)
  __m512i table;
  explicit Uppers(const Strays& of)
      : table(_mm512_broadcast_i32x4(load_as<__m128i>(of.upper))) {}
  Bytes named(Bytes names) const {
    return (Bytes)_mm512_shuffle_epi8(table, (__m512i)names);
  }
  static std::pair<IntVec, IntVec> join(Bytes lower, Bytes upper) {
    return {(IntVec)_mm512_unpacklo_epi8((__m512i)lower, (__m512i)upper),
            (IntVec)_mm512_unpackhi_epi8((__m512i)lower, (__m512i)upper)};
  }
  static Bytes lower(IntVec left, IntVec right) {
    return (Bytes)_mm512_packus_epi16((__m512i)(left & 0x00ff00ff), (__m512i)(right & 0x00ff00ff));
  }
#elif defined(__AVX2__) && !defined(__AVX512F__)
  __m256i table;
  explicit Uppers(const Strays& of)
      : table(_mm256_broadcastsi128_si256(load_as<__m128i>(of.upper))) {}
  Bytes named(Bytes names) const {
    return (Bytes)_mm256_shuffle_epi8(table, (__m256i)names);
  }
  static std::pair<IntVec, IntVec> join(Bytes lower, Bytes upper) {
    return {(IntVec)_mm256_unpacklo_epi8((__m256i)lower, (__m256i)upper),
            (IntVec)_mm256_unpackhi_epi8((__m256i)lower, (__m256i)upper)};
  }
  static Bytes lower(IntVec left, IntVec right) {
    return (Bytes)_mm256_packus_epi16((__m256i)(left & 0x00ff00ff), (__m256i)(right & 0x00ff00ff));
  }
#else
  const uint8_t* table;
  explicit Uppers(const Strays& of) : table(of.upper) {}
  Bytes named(Bytes names) const {
    Bytes x;
    for (size_t i = 0; i < sizeof(x); ++i) x[i] = table[names[i]];
    return x;
  }
  static std::pair<IntVec, IntVec> join(Bytes lower, Bytes upper) {
    Bytes halves[2];
    for (size_t i = 0; i < sizeof(Bytes); ++i) {
      const size_t at = i / 16 * 16 + i % 8 * 2;
      Bytes& half = halves[i / 8 % 2];
      half[at] = lower[i], half[at + 1] = upper[i];
    }
    return {(IntVec)halves[0], (IntVec)halves[1]};
  }
  static Bytes lower(IntVec left, IntVec right) {
    const Bytes halves[2] = {(Bytes)left, (Bytes)right};
    Bytes x;
    for (size_t i = 0; i < sizeof(x); ++i) x[i] = halves[i / 8 % 2][i / 16 * 16 + i % 8 * 2];
    return x;
  }
#endif
  static Bytes upper(IntVec left, IntVec right) { return lower(left >> 8, right >> 8); }
};

// A column: names of its upper bytes, those of the first 32 in lower halves; then its lower bytes.
struct Bfloat12 {
  using Longer = Bfloat16;
  static constexpr int kNames = kRows / 2, kColumn = kNames + kRows;

  // Of a list: a 256th of all weights may be strays.
  static int64_t most_strays(int64_t columns) { return 15 + columns * kRows / 256; }
  static int64_t list_bytes(int64_t columns) {
    return sizeof(Strays) + most_strays(columns) * sizeof(Stray);
  }

  // Where a row's byte is, so that joined bytes lie as Bfloat16's words do.
  static int64_t place(int64_t row) {
    const int64_t j = row / kLanes, lane = row % kLanes;
    return j / 4 * 4 * kLanes + lane / 4 * 16 + j / 2 % 2 * 8 + lane % 4 * 2 + j % 2;
  }

  // Of vectors 4 quad to 4 quad + 3, a byte each. Shifted as wider numbers: there is no shift of bytes.
  static Bytes names(const uint8_t* column, int quad) {
#if defined(__AVX512F__)
    const __m512i both = _mm512_broadcast_i64x4(load_as<__m256i>(column));
    return (Bytes)_mm512_srlv_epi64(both, _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0)) & 15;
#else
    const int at = quad * sizeof(Bytes);
    return (Bytes)(load_as<IntVec>(column + at % kNames) >> (at / kNames * 4)) & 15;
#endif
  }

  // Words of these vectors, as Bfloat16 has them.
  static std::pair<IntVec, IntVec> words(const uint8_t* column, int quad, const Uppers& uppers) {
    auto lower = load_as<Bytes>(column + kNames + quad * sizeof(Bytes));
#if defined(__AVX512F__)
    asm("" : "+v"(lower));  // or it is loaded twice, across two lines
#endif
    return Uppers::join(lower, uppers.named(names(column, quad)));
  }

  // Adds a column times the inputs of N tokens to their totals.
  template <int N>
  static void add(const uint8_t* column, const Uppers& uppers, const Vec (&x)[N],
                  Vec (&total)[N][kVecs]) {
#pragma GCC unroll 2
    for (int j = 0; j < kVecs; j += 4) {
      const auto [left, right] = words(column, j / 4, uppers);
      const Vec part[] = {Bfloat16::first(left), Bfloat16::second(left), Bfloat16::first(right),
                          Bfloat16::second(right)};
#pragma GCC unroll 4
      for (int t = 0; t < N; ++t)
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) total[t][j + i] += part[i] * x[t];
    }
  }

  // Some columns as Bfloat16 has them.
  static void lengthen(const uint8_t* panel, const Strays& strays, int64_t first, int64_t last,
                       uint8_t* to) {
    const Uppers uppers(strays);
    for (int64_t c = first; c < last; ++c) {
      float* made = (float*)(to + (c - first) * Bfloat16::kColumn);
      for (int quad = 0; quad < kVecs / 4; ++quad, made += 2 * kLanes) {
        const auto [left, right] = words(panel + c * kColumn, quad, uppers);
        store(made, as_floats(left)), store(made + kLanes, as_floats(right));
      }
    }
    const Stray* stray = strays.some;
    const Stray* end = stray + strays.count;
    while (stray != end && stray->place < first * kRows) ++stray;
    for (; stray != end && stray->place < last * kRows; ++stray) {
      const int64_t c = stray->place / kRows - first, row = stray->place % kRows;
      std::memcpy(to + 2 * (c * kRows + Bfloat16::place(row)), (const uint8_t*)&stray->value + 2, 2);
    }
  }
};

// The same weights for inputs that may be rounded.
struct Bfloat12Rounded : Bfloat12 {
  using Longer = Bfloat16Rounded;
};

template <class F>
constexpr bool kIsShort = std::is_base_of_v<Bfloat12, F>;

// y[token][0..63] = panel · x for N tokens, ld floats apart, as Panel::multiply. Strays come first: what they
// need is on its way while the panel is read.
template <class F, int N>
struct ShortPanel {
  template <class Columns>
  __attribute__((noinline)) static void multiply(const uint8_t* panel, const Columns& visited,
                                                 const Strays& strays, const float* x, int64_t ld,
                                                 float* y) {
    std::memset(y, 0, sizeof(float) * kRows * N);
    for (int t = 0; t < N; ++t)
      strays.add<F, std::is_same_v<Columns, SomeColumns>>(x + t * ld, y + t * kRows);
    const Uppers uppers(strays);
    for (int64_t i = 0; i < visited.count;) {
      Vec total[N][kVecs];  // which stay in memory if the compiler unrolls these loops too late
#pragma GCC unroll 4
      for (int t = 0; t < N; ++t)
#pragma GCC unroll 8
        for (int j = 0; j < kVecs; ++j) total[t][j] = Vec{};
      for (const int64_t end = std::min(i + kSummed, visited.count); i < end; ++i) {
        visited.prefetch(panel, i, F::kColumn);
        const int64_t c = visited[i];
        Vec inputs[N];
#pragma GCC unroll 4
        for (int t = 0; t < N; ++t) inputs[t] = splat(F::Longer::input(x + t * ld, c));
        F::add(panel + c * F::kColumn, uppers, inputs, total);
      }
#pragma GCC unroll 4
      for (int t = 0; t < N; ++t)
#pragma GCC unroll 8
        for (int j = 0; j < kVecs; ++j) add_to(y + t * kRows + j * kLanes, total[t][j]);
    }
  }
};

// So many tokens meet a panel as it is; for more, columns are made longer beforehand, and where two of
// them meet rounded inputs at once that pays sooner. Measured.
template <class F>
constexpr int kShortTokens = kLanes < 16 ? 1 : F::Longer::kTogether > 1 ? 2 : 4;
