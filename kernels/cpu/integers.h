// Products of 8-bit and 4-bit weights with many tokens, in integers. One instruction multiplies
// and adds two 16-bit or four 8-bit pairs in each lane, so a word of 32 bits holds the weights of
// a row's 2 or 4 neighbouring columns.
#pragma once

#include <type_traits>

#include "int4.h"

constexpr int kBlockWords = kBlockColumns / 2;  // of a row, unpacked at a time, at most

typedef int16_t PairVec __attribute__((vector_size(kLanes * 4)));

// Sums of pairs of 16-bit numbers.
struct PairSum {
  IntVec total{};
  static IntVec spread(const int32_t* x) { return IntVec{} + *x; }
  static IntVec load(const void* p) { return load_as<IntVec>(p); }
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

// Where word `at` of vector j goes: parts of two vectors, each with its words in order.
inline int32_t* word_at(int32_t* to, int j, int64_t at) {
  return to + ((j / 2 * kBlockWords + at) * 2 + j % 2) * kLanes;
}

inline void put(int32_t* to, int j, int64_t at, IntVec word) {
  std::memcpy(word_at(to, j, at), &word, sizeof(word));
}

// How a format meets integers: its sums, its tokens, the columns that share a scale in both, and
// how columns `first` to `last` become words.
template <class F>
struct IntegerFormat {
  static constexpr bool kExists = false;
};

template <>
struct IntegerFormat<Int8> {
  static constexpr bool kExists = true;
  static constexpr int kSharing = kBlockColumns, kColumns = 2;
  using Sum = PairSum;
  using Tokens = RoundedShorts;

  // The column after an odd number's last is whatever follows in memory: its input is 0.
  static void unpack(const uint8_t* panel, int64_t first, int64_t last, int32_t* to) {
    for (int64_t c = first; c < last; c += 2)
      for (int j = 0; j < kVecs; ++j) {
        const uint8_t* at = panel + c * Int8::kColumn + j * kLanes;
        put(to, j, (c - first) / 2, pair(at, at + Int8::kColumn));
      }
  }

 private:
  // Lane i: the i-th signed byte of a below the i-th of b.
  static IntVec pair(const uint8_t* a, const uint8_t* b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    const __m128i low = _mm_loadl_epi64((const __m128i*)a), high = _mm_loadl_epi64((const __m128i*)b);
    return (IntVec)_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(low, high));
#else
    const IntVec low = __builtin_convertvector(load_as<ByteVec>(a), IntVec);
    const IntVec high = __builtin_convertvector(load_as<ByteVec>(b), IntVec);
    return (low & 0xffff) | high << 16;
#endif
  }
};

template <>
struct IntegerFormat<Int4Columns> {
  static constexpr bool kExists = true;
  static constexpr int kSharing = kGroup, kColumns = 2;
  using Sum = PairSum;
  using Tokens = RoundedShorts;

  static void unpack(const uint8_t* panel, int64_t first, int64_t last, int32_t* to) {
    for (int64_t c = first; c < last; c += 2) {
      const uint8_t* at = panel + c / kGroup * Int4Columns::kGroupBytes +
                          c % kGroup * Int4Columns::kColumn;
      for (int j = 0; j < kVecs; ++j) {
        const int shift = j % Int4Columns::kNibbles * 4;
        const IntVec low = Int4Columns::words(at, j) >> shift & 15;
        const IntVec high = Int4Columns::words(at + Int4Columns::kColumn, j) >> shift & 15;
        const IntVec both = low | high << 16;
        const PairVec pair = load_as<PairVec>(&both) - 8;
        put(to, j, (c - first) / 2, load_as<IntVec>(&pair));
      }
    }
  }
};

template <>
struct IntegerFormat<Int4> {
  static constexpr bool kExists = true;
  static constexpr int kSharing = kGroup, kColumns = 4;
  using Sum = NibbleSum;
  using Tokens = RoundedBytes;

  static void unpack(const uint8_t* panel, int64_t first, int64_t last, int32_t* to) {
    for (int64_t c = first; c < last; c += kGroup)
      for (int q = 0; q < Int4::kQuarters; ++q)
        for (int j = 0; j < kVecs; ++j) {
          const uint8_t* group = panel + c / kGroup * Int4::kGroupBytes;
          const IntVec w = load_as<IntVec>(group + (q * kRows + j * kLanes) * 4);
          const int64_t at = (c - first) / 4 + q;
          put(to, j, at, w & 0x0f0f0f0f);
          put(to, j, at + Int4::kQuarters, w >> 4 & 0x0f0f0f0f);
        }
  }
};

// Unpacked words of two vectors of rows, and what stands for the rows' scales, kRows apart.
struct Words {
  const int32_t* data;
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
      const auto w0 = Sum::load(w.data + i * 2 * kLanes);
      const auto w1 = Sum::load(w.data + (i * 2 + 1) * kLanes);
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

// The scales of a block's rows: of every group, or of the panel.
template <class F>
inline void unpack_scales(const uint8_t* panel, int64_t columns, int64_t first, float* to) {
  if constexpr (std::is_same_v<F, Int8>) {
    std::memcpy(to, panel + columns * Int8::kColumn, sizeof(float) * kRows);
  } else {
    static_assert(Int4::kGroupBytes == Int4Columns::kGroupBytes);
    const int64_t last = std::min(columns, first + kBlockColumns);
    for (int64_t c = first; c < last; c += kGroup, to += kRows)
      Int4Columns::for_scales(panel + c / kGroup * Int4::kGroupBytes,
                              [&](int j, Vec scale) { store(to + j * kLanes, scale); });
  }
}

// y[token][0..63] = panel · x; y is written whole. words: room for kRows * kBlockWords.
template <class F>
inline void multiply_integers(const uint8_t* panel, int64_t columns, const float* x, int64_t ld,
                              int64_t tokens, int32_t* words, float* y) {
  using Format = IntegerFormat<F>;
  constexpr int kTile = kLanes == 16 ? 12 : 6;
  const int64_t scales_of_token = Format::Tokens::count(columns);
  alignas(64) float scales[kBlockColumns / kGroup * kRows];
  std::memset(y, 0, sizeof(float) * kRows * tokens);
  for (int64_t first = 0; first < columns; first += kBlockColumns) {
    const int64_t last = std::min(columns, first + kBlockColumns);
    Format::unpack(panel, first, last, words);
    unpack_scales<F>(panel, columns, first, scales);
    const int64_t count = (last - first + Format::kColumns - 1) / Format::kColumns;
    for (int j = 0; j < kVecs; j += 2) {
      const Words w{word_at(words, j, 0), first / Format::kColumns, count, scales + j * kLanes};
      float* to = y + j * kLanes;
      for_tiles(tokens, kTile, [&](int64_t t, int64_t n) {
        integer_tile_of<Format, kTile>(n, w, x + t * ld, ld, scales_of_token, to + t * kRows);
      });
    }
  }
}
