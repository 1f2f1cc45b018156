// Products of a packed matrix with one or many tokens, a panel at a time.
#pragma once

#include <type_traits>

#include "integers.h"

constexpr int kMaxTokens = 256;        // of one product
// So few of int4 read a panel again instead of unpacking it for all.
template <class F>
constexpr int kDirectTokens = std::is_same_v<F, Int4> || std::is_same_v<F, Int4Columns> ? 3 : 1;
constexpr int64_t kBlockBytes = 16384;  // of a panel at a time, which stay in the first cache
constexpr int64_t kFloatColumns = 128;  // added up before they join the sum of all, at most

// What a thread needs to multiply, allocated once.
struct alignas(64) Scratch {
  int32_t words[kRows * kBlockWords];
  float y[kMaxTokens * kRows];
};

enum Format : int64_t { kFloat32, kFloat16, kBfloat16, kInt8, kInt4, kInt4Columns };

template <class Use>
inline auto with_format(int64_t format, Use use) {
  switch (format) {
    case kFloat16: return use(Float16{});
    case kBfloat16: return use(Bfloat16{});
    case kInt8: return use(Int8{});
    case kInt4: return use(Int4{});
    case kInt4Columns: return use(Int4Columns{});
    default: return use(Float32{});
  }
}

struct Matrix {
  const uint8_t* data;
  int64_t rows, columns, format;
  int64_t panels() const { return (rows + kRows - 1) / kRows; }
  int64_t bytes() const {
    return panels() * with_format(format, [&](auto f) { return panel_bytes<decltype(f)>(columns); });
  }
};

// Columns `first` to `last` of a panel and two vectors of its rows, from vector j on.
template <class F>
struct Part {
  const uint8_t *panel, *next;  // next: what will be read soon
  int64_t first, last;
  int j;
};

// y[token][0..2 kLanes] += w · x[token] for N tokens, ldx floats apart.
template <class F, int N>
inline void tile(const Part<F>& w, const float* x, int64_t ldx, float* y) {
  Vec total[N][2] = {};
  for (int64_t c = w.first; c < w.last; ++c) {
    // While two vectors of rows are multiplied, as large a part of the next block is fetched.
    __builtin_prefetch(w.next + (c - w.first) * (F::kColumn / (kVecs / 2)));
    Vec w0, w1;
    F::two(w.panel + c * F::kColumn, w.j, w0, w1);
    for (int t = 0; t < N; ++t) {
      const Vec xc = splat(x[t * ldx + c]);
      total[t][0] += w0 * xc;
      total[t][1] += w1 * xc;
    }
  }
  for (int t = 0; t < N; ++t)
    for (int j = 0; j < 2; ++j) {
      float* sum = y + t * kRows + j * kLanes;
      store(sum, load(sum) + total[t][j]);
    }
}

// The same for up to N tokens.
template <class F, int N>
inline void tile_of(int64_t tokens, const Part<F>& w, const float* x, int64_t ldx, float* y) {
  if (tokens == N) return tile<F, N>(w, x, ldx, y);
  if constexpr (N > 1) tile_of<F, N - 1>(tokens, w, x, ldx, y);
}

// y[token][0..63] = panel · x for several tokens, in floats; y is written whole.
template <class F>
inline void multiply_floats(const uint8_t* panel, int64_t columns, const float* x, int64_t ldx,
                            int64_t tokens, float* y) {
  constexpr int64_t kBlock = std::min<int64_t>(kFloatColumns, kBlockBytes / F::kColumn);
  std::memset(y, 0, sizeof(float) * kRows * tokens);
  for (int64_t first = 0; first < columns; first += kBlock) {
    const int64_t last = std::min(columns, first + kBlock);
    for_tiles(tokens, kTileTokens, [&](int64_t t, int64_t n) {
      for (int j = 0; j < kVecs; j += 2) {
        const uint8_t* next = panel + (first + kBlock + j * kBlock / kVecs) * F::kColumn;
        tile_of<F, kTileTokens>(n, Part<F>{panel, next, first, last, j}, x + t * ldx, ldx,
                                y + t * kRows + j * kLanes);
      }
    });
  }
}

// Floats that hold one token's rounded inputs; 0 for formats that multiply floats.
inline int64_t rounded_floats(int64_t format, int64_t columns) {
  if (format == kInt4 || format == kInt4Columns) return RoundedBytes::floats(columns);
  if (format == kInt8) return RoundedShorts::floats(columns);
  return 0;
}

// Rounds one of so many tokens for a product, where the product will read it.
inline void round_inputs(int64_t format, const float* x, int64_t columns, int64_t tokens,
                         float* to) {
  if (format == kInt8)
    RoundedShorts::round(x, columns, to);
  else if (format == kInt4 || tokens > kDirectTokens<Int4Columns>)
    RoundedBytes::round(x, columns, to);
}

// Some tokens, and the same rounded; rows that many floats apart.
struct Inputs {
  const float* x;
  int64_t ld;
  const float* rounded;
  int64_t rounded_ld;
};

// y[0..63] = one panel · one token.
template <class F>
inline void multiply_token(const uint8_t* data, int64_t columns, const float* x,
                           const float* rounded, const SomeColumns* some, float* y) {
  if constexpr (std::is_same_v<F, Int8>) {
    if (some)
      multiply_int8(data, columns, rounded, SomePairs{*some}, y);
    else
      multiply_int8(data, columns, rounded, AllPairs{}, y);
  } else if constexpr (std::is_same_v<F, Int4>) {
    multiply_int4(data, columns, rounded, y);
  } else {
    Vec result[kVecs];
    if (some)
      Panel<F>::multiply(data, columns, x, *some, result);
    else
      Panel<F>::multiply(data, columns, x, AllColumns{columns}, result);
    std::memcpy(y, result, sizeof(result));
  }
}

// scratch.y[token][0..63] = one panel · x[token]. A list of columns (one token only) names those
// whose input is not zero, and the others are not read.
inline void multiply_panel(const Matrix& m, int64_t panel, const Inputs& in, int64_t tokens,
                           const SomeColumns* some, Scratch& scratch) {
  with_format(m.format, [&](auto format) {
    using F = decltype(format);
    const uint8_t* data = m.data + panel * panel_bytes<F>(m.columns);
    if (tokens <= kDirectTokens<F>) {
      for (int64_t t = 0; t < tokens; ++t)
        multiply_token<F>(data, m.columns, in.x + t * in.ld, in.rounded + t * in.rounded_ld, some,
                          scratch.y + t * kRows);
    } else if constexpr (IntegerFormat<F>::kExists) {
      multiply_integers<F>(data, m.columns, in.rounded, in.rounded_ld, tokens, scratch.words,
                           scratch.y);
    } else {
      multiply_floats<F>(data, m.columns, in.x, in.ld, tokens, scratch.y);
    }
  });
}
