// Products of 8-bit and 4-bit weights with several tokens, in integers. One instruction multiplies
// and adds two 16-bit or four 8-bit pairs in each lane, so a word of 32 bits holds the weights of
// a row's 2 or 4 neighbouring columns.
#pragma once

#include "int4.h"
#include "int8.h"

constexpr int kBlockWords = kBlockColumns / 4;  // of a row, unpacked at a time, at most

// How a format meets integers: its sums, its tokens, the columns of a word and those that share a
// scale in weights and tokens, and how words are found: their distance, and word j of two vectors
// of rows. Formats with kIsUnpacked make words of columns `first` to `last` beforehand. While two
// vectors of rows are multiplied, as large a part of the next block is fetched: kAhead a word.
template <class F>
struct IntegerFormat {
  static constexpr bool kExists = false;
};

template <>
struct IntegerFormat<Int8> {
  static constexpr bool kExists = true, kIsUnpacked = false;
  static constexpr int kSharing = kBlockColumns, kColumns = 2, kStep = Int8::kPair;
  static constexpr int kAhead = kStep / (kVecs / 2);
  using Sum = PairSum;
  using Tokens = RoundedShorts;
  static IntVec word(const uint8_t* p, int j) { return Int8::pair(p + j * 2 * kLanes); }
  static const uint8_t* column(const uint8_t* panel, int64_t c) { return panel + c / 2 * Int8::kPair; }
};

// Words of 4 columns, those of two vectors of rows side by side.
struct NibbleWords {
  static constexpr bool kExists = true, kIsUnpacked = true;
  static constexpr int kSharing = kGroup, kColumns = 4, kStep = 2 * sizeof(IntVec);
  static constexpr int kAhead = Int4::kGroupBytes / (kGroup / kColumns) / (kVecs / 2);
  using Sum = NibbleSum;
  using Tokens = RoundedBytes;

  static auto word(const uint8_t* p, int j) { return NibbleSum::load(p + j * sizeof(IntVec)); }

  // Of a group's first column.
  static const uint8_t* column(const uint8_t* panel, int64_t c) {
    return panel + c / kGroup * Int4::kGroupBytes;
  }

  // Word `at` of vector j.
  static void put(int32_t* to, int j, int64_t at, IntVec word) {
    std::memcpy(to + ((j / 2 * kBlockWords + at) * 2 + j % 2) * kLanes, &word, sizeof(word));
  }
};

template <>
struct IntegerFormat<Int4Columns> : NibbleWords {
  static void unpack(const uint8_t* panel, int64_t first, int64_t last, int32_t* to) {
    for (int64_t c = first; c < last; c += kColumns) {
      const uint8_t* at = column(panel, c) + c % kGroup * Int4Columns::kColumn;
      for (int j = 0; j < kVecs; ++j) {
        IntVec word{};
        for (int i = 0; i < kColumns; ++i) {
          const IntVec nibbles = Int4Columns::words(at + i * Int4Columns::kColumn, j);
          word |= (nibbles >> (j % Int4Columns::kNibbles * 4) & 15) << (8 * i);
        }
        put(to, j, (c - first) / kColumns, word);
      }
    }
  }
};

template <>
struct IntegerFormat<Int4> : NibbleWords {
  static void unpack(const uint8_t* panel, int64_t first, int64_t last, int32_t* to) {
    for (int64_t c = first; c < last; c += kGroup)
      for (int q = 0; q < Int4::kQuarters; ++q)
        for (int j = 0; j < kVecs; ++j) {
          const IntVec w = load_as<IntVec>(column(panel, c) + (q * kRows + j * kLanes) * 4);
          const int64_t at = (c - first) / kColumns + q;
          put(to, j, at, w & 0x0f0f0f0f);
          put(to, j, at + Int4::kQuarters, w >> 4 & 0x0f0f0f0f);
        }
  }
};

// Some columns of two vectors of rows: words, and what stands for the rows' scales, kRows apart.
struct Words {
  const uint8_t *data, *next;  // next: what will be read soon
  int64_t first, count;  // of a whole row's words
  const float* scales;
};

// y[token][0..2 kLanes] += words · x[token] for N tokens, ld floats apart.
template <class F, int N>
inline void integer_tile(const Words& w, const float* x, int64_t ld, int64_t scales_of_token,
                         float* y) {
  using Sum = typename F::Sum;
  using Tokens = typename F::Tokens;
  constexpr int run = F::kSharing / F::kColumns;
  for (int64_t begin = 0; begin < w.count; begin += run) {
    Sum sums[N][2];
    for (int64_t i = begin; i < std::min<int64_t>(w.count, begin + run); ++i) {
      __builtin_prefetch(w.next + i * F::kAhead);
      const auto w0 = F::word(w.data + i * F::kStep, 0), w1 = F::word(w.data + i * F::kStep, 1);
      for (int t = 0; t < N; ++t) {
        const auto spread = Sum::spread((const int32_t*)x + t * ld + w.first + i);
        sums[t][0].add(w0, spread);
        sums[t][1].add(w1, spread);
      }
    }
    const int64_t at = (w.first + begin) / Tokens::kWords;
    for (int t = 0; t < N; ++t) {
      const Tokens token{x + t * ld, scales_of_token};
      for (int j = 0; j < 2; ++j) {
        const Vec whole = __builtin_convertvector(sums[t][j].result() - token.offset(at), Vec);
        float* sum = y + t * kRows + j * kLanes;
        const Vec scale = load(w.scales + begin / run * kRows + j * kLanes) * token.scale(at);
        store(sum, load(sum) + whole * scale);
      }
    }
  }
}

// The same for up to N tokens.
template <class F, int N>
inline void integer_tile_of(int64_t tokens, const Words& w, const float* x, int64_t ld,
                            int64_t scales_of_token, float* y) {
  if (tokens == N) return integer_tile<F, N>(w, x, ld, scales_of_token, y);
  if constexpr (N > 1) integer_tile_of<F, N - 1>(tokens, w, x, ld, scales_of_token, y);
}

// The scales of some groups of int4.
inline void unpack_scales(const uint8_t* panel, int64_t first, int64_t last, float* to) {
  static_assert(Int4::kGroupBytes == Int4Columns::kGroupBytes);
  for (int64_t c = first; c < last; c += kGroup, to += kRows)
    Int4Columns::for_scales(panel + c / kGroup * Int4::kGroupBytes,
                            [&](int j, Vec scale) { store(to + j * kLanes, scale); });
}

// y[token][0..63] = panel · x; y is written whole. words: room for kRows * kBlockWords.
template <class F>
inline void multiply_integers(const uint8_t* panel, int64_t columns, const float* x, int64_t ld,
                              int64_t tokens, int32_t* words, float* y) {
  using Format = IntegerFormat<F>;
  const int64_t scales_of_token = Format::Tokens::count(columns);
  alignas(64) float unpacked_scales[kBlockColumns / kGroup * kRows];
  std::memset(y, 0, sizeof(float) * kRows * tokens);
  for (int64_t first = 0; first < columns; first += kBlockColumns) {
    const int64_t last = std::min(columns, first + kBlockColumns);
    const uint8_t *data, *next = Format::column(panel, first + kBlockColumns);
    const float* scales;
    if constexpr (Format::kIsUnpacked) {
      Format::unpack(panel, first, last, words);
      unpack_scales(panel, first, last, unpacked_scales);
      data = (const uint8_t*)words, scales = unpacked_scales;
    } else {
      data = Format::column(panel, first), scales = Int8::scales(panel, columns);
    }
    const int64_t count = (last - first + Format::kColumns - 1) / Format::kColumns;
    // All rows for a few tokens, which stay in the first cache meanwhile.
    for_tiles(tokens, kTileTokens, [&](int64_t t, int64_t n) {
      for (int j = 0; j < kVecs; j += 2) {
        const int64_t at = Format::kIsUnpacked ? j * kBlockWords * sizeof(IntVec) : j * 2 * kLanes;
        const Words w{data + at, next + j / 2 * kBlockColumns / Format::kColumns * Format::kAhead,
                      first / Format::kColumns, count, scales + j * kLanes};
        integer_tile_of<Format, kTileTokens>(n, w, x + t * ld, ld, scales_of_token,
                                             y + t * kRows + j * kLanes);
      }
    });
  }
}
