// Products of 8-bit and 4-bit weights with several tokens, in integers. One instruction multiplies
// and adds two 16-bit or four 8-bit pairs in each lane, so a word of 32 bits holds the weights of
// a row's 2 or 4 neighbouring columns.
#pragma once

#include "int4.h"
#include "int4_columns.h"
#include "int8.h"

// Of a tile: with 16 registers their sums fill these; with 32, totals have room too, and more
// tokens would be slower. Measured.
constexpr int kIntegerTokens = kLanes == 16 ? 4 : 6;
constexpr int64_t kIntegerColumns = 256;  // at a time, which stay in the first cache

// How a format's weights meet rounded tokens, a group of columns at a time, those that share the
// token's scale: where groups lie, their words for two vectors of rows, and which cache the next
// ones are fetched into.
template <class F>
struct IntegerFormat {
  static constexpr bool kExists = false;
};

// How often a loop runs. With AVX-512 groups are whole, which the compiler should know, to unroll
// it; with fewer registers it should not know.
template <int64_t kWhole>
inline int64_t unrolled(int64_t count) {
  if (kLanes == 16 && kWhole <= 8) return kWhole;
  asm("" : "+r"(count));
  return count;
}

template <>
struct IntegerFormat<Int8> : Int8 {
  static constexpr bool kExists = true, kIsUnpacked = false, kHasGroupScales = false;
  static constexpr int kCache = AllWords::kCache;
  static constexpr int kGroupBytes = Tokens::kWords * kStep;

  static int64_t words_of_last(int64_t columns) {
    return words(columns) - (Tokens::count(columns) - 1) * Tokens::kWords;
  }

  template <class Use>
  static void visit(const uint8_t* group, int64_t words, Use use) {
    for (int64_t i = 0, n = unrolled<Tokens::kWords>(words); i < n; ++i, group += kStep)
      use(i, word(group), word(group + kVector));
  }

  // As Int4's.
  template <class Use>
  static void for_group(const uint8_t* group, Use use) {
#pragma GCC unroll 8
    for (int i = 0; i < Tokens::kWords; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) use(i, j, word(group + i * kStep + j * kVector));
  }
};

template <>
struct IntegerFormat<Int4> : Int4 {
  static constexpr bool kExists = true, kIsUnpacked = false, kHasGroupScales = true;
  static constexpr int kVector = 4 * kLanes, kCache = 3;
  using Tokens = RoundedBytes;
  static int64_t words_of_last(int64_t) { return Tokens::kWords; }

  template <class Use>
  static void visit(const uint8_t* group, int64_t words, Use use) {
    const auto at = [&](int64_t q, int j) {
      return load_as<IntVec>(group + q * kQuarterBytes + j * kVector);
    };
    const int64_t n = unrolled<kQuarters>(words / 2);
    for (int64_t q = 0; q < n; ++q) use(q, low(at(q, 0)), low(at(q, 1)));
    for (int64_t q = 0; q < n; ++q) use(q + kQuarters, high(at(q, 0)), high(at(q, 1)));
  }
};

// Words of 4 columns, made beforehand.
template <>
struct IntegerFormat<Int4Columns> : Int4 {
  static constexpr bool kExists = true, kIsUnpacked = true, kHasGroupScales = true;
  static constexpr int kVector = 4 * kLanes, kStep = 4 * kRows, kCache = 3;
  using Tokens = RoundedBytes;
  static int64_t words_of_last(int64_t) { return Tokens::kWords; }

  template <class Use>
  static void visit(const uint8_t* group, int64_t words, Use use) {
    for (int64_t i = 0, n = unrolled<Tokens::kWords>(words); i < n; ++i, group += kStep)
      use(i, load_as<IntVec>(group), load_as<IntVec>(group + kVector));
  }

  static void unpack(const uint8_t* group, uint8_t* to) {
    Int4Columns::for_group(group, [&](int i, int j, IntVec word) {
      std::memcpy(to + i * kStep + j * kVector, &word, sizeof(word));
    });
  }
};

// For few tokens, tiles are a whole panel wide if their sums and totals find room in the registers, and so
// many groups go through them at a time. Measured, as where the many begin.
template <class Format>
constexpr bool kHasWideTiles =
    kLanes == 16 && Format::Tokens::kWords == 8 && !Format::kIsUnpacked;
constexpr int kWideTile = 3, kWideTokens = 4;
constexpr int64_t kWideGroups = 2, kWideAhead = 4096;

// Some groups of columns, on from a vector of rows: words, so many bytes apart, the rows' scales,
// and what will be read soon.
struct Groups {
  const uint8_t* words;
  int64_t bytes;
  const uint8_t *scales, *next;
  int64_t count, words_of_last;
};

// Tokens of a tile, ld floats apart. With AVX-512 the compiler would hold an address for each of
// them, more than there are registers, if it knew how these lie to each other.
template <int N>
struct TokenRows {
  const float* third[(N + 2) / 3];
  int64_t ld;
  TokenRows(const float* x, int64_t ld) : ld(ld) {
    for (int i = 0; i < (N + 2) / 3; ++i) {
      third[i] = x + 3 * i * ld;
      if (kLanes == 16) asm("" : "+r"(third[i]));
    }
  }
  const float* operator[](int t) const { return third[t / 3] + t % 3 * ld; }
};

// y[token][0..2 kLanes] += words · x[token] for N tokens.
template <class F, int N>
inline void integer_tile(Groups w, const float* x, int64_t ld, float* y) {
  using Tokens = typename F::Tokens;
  constexpr bool kKeepsTotals = kLanes == 16;
  // While two vectors of rows are multiplied, as large a part of the next groups is fetched.
  constexpr int64_t kAhead = F::kGroupBytes / Tokens::kWords / (kVecs / 2);
  constexpr int64_t kLines = std::max<int64_t>((kAhead + 32) / 64, 1);
  Vec totals[N][2];  // which stay in memory if the compiler unrolls these loops too late
#pragma GCC unroll 6
  for (int t = 0; t < N; ++t) totals[t][0] = totals[t][1] = Vec{};
  for (int64_t g = 0; g < w.count; ++g, x += Tokens::kSize) {
    const TokenRows<N> tokens(x, ld);
    IntVec sums[N][2];
    for (int t = 0; t < N; ++t)
      sums[t][0] = sums[t][1] = F::begin(Tokens::start(tokens[t]));
    const int64_t words = g + 1 < w.count ? Tokens::kWords : w.words_of_last;
    F::visit(w.words, words, [&](int64_t i, IntVec w0, IntVec w1) {
      for (int line = 0; line < kLines; ++line)
        __builtin_prefetch(w.next + i * kAhead + line * 64, 0, F::kCache);
      w0 = in_register(w0), w1 = in_register(w1);
      for (int t = 0; t < N; ++t) {
        const IntVec spread = IntVec{} + Tokens::words(tokens[t])[i];
        sums[t][0] = F::add(sums[t][0], w0, spread);
        sums[t][1] = F::add(sums[t][1], w1, spread);
      }
    });
    Vec row_scales[2];
    if (F::kHasGroupScales)
      for (int j = 0; j < 2; ++j) row_scales[j] = group_scales(w.scales + j * kLanes);
#pragma GCC unroll 6
    for (int t = 0; t < N; ++t)
      for (int j = 0; j < 2; ++j) {
        const IntVec sum = F::result(sums[t][j], Tokens::start(tokens[t]));
        Vec total = Tokens::total(sum, tokens[t]);
        if (F::kHasGroupScales) total *= row_scales[j];
        if constexpr (kKeepsTotals)
          totals[t][j] += total;
        else
          add_to(y + t * kRows + j * kLanes, total);
      }
    w.words += w.bytes, w.scales += F::kGroupBytes, w.next += Tokens::kWords * kAhead;
  }
  if (kKeepsTotals)
#pragma GCC unroll 6
    for (int t = 0; t < N; ++t)
      for (int j = 0; j < 2; ++j) add_to(y + t * kRows + j * kLanes, totals[t][j]);
}

// The same for up to N tokens. The compiler makes slower code of with_count here, by a fiftieth for int4.
template <class F, int N>
inline void integer_tile_of(int64_t tokens, const Groups& w, const float* x, int64_t ld, float* y) {
  if (tokens == N) return integer_tile<F, N>(w, x, ld, y);
  if constexpr (N > 1) integer_tile_of<F, N - 1>(tokens, w, x, ld, y);
}

// The same for all rows, N tokens and groups that are whole. One stream through memory, which the processor
// fetches ahead by itself faster than it can be asked to: some 20 lines may be under way at a time that a
// program has asked for. A quarter of them is asked for all the same, which keeps the stream going.
template <class F, int N>
__attribute__((noinline)) inline void wide_tile(Groups w, const float* x, int64_t ld, float* y) {
  using Tokens = typename F::Tokens;
  Vec totals[N][kVecs];  // which stay in memory if the compiler unrolls these loops too late
#pragma GCC unroll 3
  for (int t = 0; t < N; ++t)
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) totals[t][j] = Vec{};
  for (int64_t g = 0; g < w.count; ++g, x += Tokens::kSize) {
    const TokenRows<N> tokens(x, ld);
    IntVec sums[N][kVecs];
#pragma GCC unroll 3
    for (int t = 0; t < N; ++t)
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) sums[t][j] = F::begin(Tokens::start(tokens[t]));
    F::for_group(w.words, [&](int i, int j, IntVec word) {
      if (j == 0 && i * 256 < F::kGroupBytes) __builtin_prefetch(w.next + i * 256, 0, 2);
      word = in_register(word);
#pragma GCC unroll 3
      for (int t = 0; t < N; ++t)
        sums[t][j] = F::add(sums[t][j], word, IntVec{} + Tokens::words(tokens[t])[i]);
    });
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) {
      const Vec scale = F::kHasGroupScales ? group_scales(w.scales + j * kLanes) : Vec{};
#pragma GCC unroll 3
      for (int t = 0; t < N; ++t) {
        const Vec total = Tokens::total(F::result(sums[t][j], Tokens::start(tokens[t])), tokens[t]);
        totals[t][j] += F::kHasGroupScales ? total * scale : total;
      }
    }
    w.words += F::kGroupBytes, w.scales += F::kGroupBytes, w.next += F::kGroupBytes;
  }
#pragma GCC unroll 3
  for (int t = 0; t < N; ++t)
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) add_to(y + t * kRows + j * kLanes, totals[t][j]);
}

// Groups of a panel on from g, up to `most` of them.
template <class Format>
inline Groups groups_from(const uint8_t* panel, int64_t columns, int64_t g, int64_t most) {
  const int64_t left = Format::Tokens::count(columns) - g;
  const uint8_t* data = panel + g * Format::kGroupBytes;
  Groups w{data, Format::kGroupBytes, data + kGroup / 2 * kRows, data, std::min(most, left),
           Format::Tokens::kWords};
  if (most >= left) w.words_of_last = Format::words_of_last(columns);
  return w;
}

// y[token][0..63] += panel · x for a few rounded tokens.
template <class Format>
inline void multiply_few(const uint8_t* panel, int64_t columns, const float* x, int64_t ld,
                         int64_t tokens, float* y) {
  using Tokens = typename Format::Tokens;
  for (int64_t g = 0; g < Tokens::count(columns); g += kWideGroups) {
    Groups w = groups_from<Format>(panel, columns, g, kWideGroups);
    w.next += kWideAhead;
    for_tiles(tokens, kWideTile, [&](int64_t t, int64_t n) {
      with_count<kWideTile>(n, [&](auto N) {
        wide_tile<Format, N>(w, x + g * Tokens::kSize + t * ld, ld, y + t * kRows);
      });
    });
  }
}

// The same for many. room: for kIntegerColumns unpacked.
template <class Format>
inline void multiply_many(const uint8_t* panel, int64_t columns, const float* x, int64_t ld,
                          int64_t tokens, uint8_t* room, float* y) {
  using Tokens = typename Format::Tokens;
  constexpr int64_t kGroups = kIntegerColumns / Tokens::kSharing;
  for (int64_t g = 0; g < Tokens::count(columns); g += kGroups) {
    Groups w = groups_from<Format>(panel, columns, g, kGroups);
    w.next += w.count * Format::kGroupBytes;
    if constexpr (Format::kIsUnpacked) {
      w.bytes = Tokens::kWords * Format::kStep;
      for (int64_t i = 0; i < w.count; ++i)
        Format::unpack(w.words + i * Format::kGroupBytes, room + i * w.bytes);
      w.words = room;
    }
    // All rows for a few tokens, which stay in the first cache meanwhile.
    for_tiles(tokens, kIntegerTokens, [&](int64_t t, int64_t n) {
      // The next tokens lie far apart, and come from another core's cache the first time.
      for (int64_t i = t + n; i < std::min(t + 2 * n, tokens); ++i)
        for (int64_t line = 0; line < kGroups * Tokens::kSize; line += 16)
          __builtin_prefetch(x + i * ld + g * Tokens::kSize + line);
      for (int j = 0; j < kVecs; j += 2) {
        Groups some = w;
        some.words += j * Format::kVector, some.scales += j * kLanes;
        some.next += j * w.count * Format::kGroupBytes / kVecs;
        integer_tile_of<Format, kIntegerTokens>(n, some, x + g * Tokens::kSize + t * ld, ld,
                                                y + t * kRows + j * kLanes);
      }
    });
  }
}

// y[0..63] = panel · x for rounded tokens; y is written whole.
template <class F>
inline void multiply_integers(const uint8_t* panel, int64_t columns, const float* x, int64_t ld,
                              int64_t tokens, uint8_t* room, float* y) {
  using Format = IntegerFormat<F>;
  std::memset(y, 0, sizeof(float) * kRows * tokens);
  const bool are_few = kHasWideTiles<Format> && tokens <= kWideTokens;
  if constexpr (kHasWideTiles<Format>)
    if (are_few) multiply_few<Format>(panel, columns, x, ld, tokens, y);
  if (!are_few) multiply_many<Format>(panel, columns, x, ld, tokens, room, y);
  for (int64_t t = 0; t < tokens; ++t)
    for (int j = 0; j < kRows; j += kLanes) {
      Vec total = load(y + t * kRows + j);
      if constexpr (Format::kHasGroupScales)
        total *= row_powers(panel + panel_bytes<F>(columns) - kRows + j);
      else
        total *= load(Int8::scales(panel, columns) + j);
      store(y + t * kRows + j, total);
    }
}
