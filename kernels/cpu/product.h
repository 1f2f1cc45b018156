// Products of a packed matrix with one or many tokens, a panel at a time.
#pragma once

#include <type_traits>

#include "int4.h"
#include "integers.h"

constexpr int kMaxTokens = 256;        // of one product
constexpr int kDirectTokens = 3;      // so few read a panel again instead of unpacking it
constexpr int kUnpackedColumns = 128;  // at a time, so that they stay in the cache
// Totals of a tile fill the vector registers: 16 of them, or 32 with AVX-512.
constexpr int kTileTokens = kLanes == 16 ? 12 : 6;

// What a thread needs to multiply, allocated once.
struct alignas(64) Scratch {
  union {
    float weights[kRows * kUnpackedColumns];
    int32_t words[kRows * kBlockWords];
  };
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

// y[token][0..2 kLanes] += w · x[token] for N tokens; w as unpacked, x with ldx between tokens.
template <int N>
inline void tile(const float* w, int64_t columns, const float* x, int64_t ldx, float* y) {
  Vec total[N][2] = {};
  for (int64_t c = 0; c < columns; ++c) {
    const Vec w0 = load(w + c * 2 * kLanes), w1 = load(w + (c * 2 + 1) * kLanes);
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
template <int N>
inline void tile_of(int64_t tokens, const float* w, int64_t columns, const float* x, int64_t ldx,
                    float* y) {
  if (tokens == N) return tile<N>(w, columns, x, ldx, y);
  if constexpr (N > 1) tile_of<N - 1>(tokens, w, columns, x, ldx, y);
}

// multiply_panel for formats that become floats.
template <class F>
inline void multiply_floats(const Matrix& m, const uint8_t* data, const float* x, int64_t ldx,
                            int64_t tokens, const SomeColumns* some, Scratch& scratch) {
  if (tokens <= kDirectTokens) {
    for (int64_t t = 0; t < tokens; ++t) {
      Vec y[kVecs];
      if (some)
        Panel<F>::multiply(data, m.columns, x, *some, y);
      else
        Panel<F>::multiply(data, m.columns, x + t * ldx, AllColumns{m.columns}, y);
      std::memcpy(scratch.y + t * kRows, y, sizeof(y));
    }
    return;
  }
  std::memset(scratch.y, 0, sizeof(float) * kRows * tokens);
  for (int64_t first = 0; first < m.columns; first += kUnpackedColumns) {
    const int64_t last = std::min(m.columns, first + kUnpackedColumns), count = last - first;
    Panel<F>::unpack(data, m.columns, first, last, scratch.weights);
    for (int part = 0; part < kVecs / 2; ++part) {
      const float* w = scratch.weights + part * count * 2 * kLanes;
      float* y = scratch.y + part * 2 * kLanes;
      for_tiles(tokens, kTileTokens, [&](int64_t t, int64_t n) {
        tile_of<kTileTokens>(n, w, count, x + t * ldx + first, ldx, y + t * kRows);
      });
    }
  }
}

// Floats that hold one token's rounded inputs; 0 for formats that multiply floats.
inline int64_t rounded_floats(int64_t format, int64_t columns) {
  if (format == kInt4) return RoundedBytes::floats(columns);
  if (format == kInt8 || format == kInt4Columns) return RoundedShorts::floats(columns);
  return 0;
}

// Rounds one of so many tokens for a product, where the product will read it.
inline void round_inputs(int64_t format, const float* x, int64_t columns, int64_t tokens,
                         float* to) {
  if (format == kInt4)
    RoundedBytes::round(x, columns, to);
  else if (tokens > kDirectTokens)
    RoundedShorts::round(x, columns, to);
}

// Some tokens, and the same rounded; rows that many floats apart.
struct Inputs {
  const float* x;
  int64_t ld;
  const float* rounded;
  int64_t rounded_ld;
};

// scratch.y[token][0..63] = one panel · x[token]. A list of columns (one token only) names those
// whose input is not zero, and the others are not read.
inline void multiply_panel(const Matrix& m, int64_t panel, const Inputs& in, int64_t tokens,
                           const SomeColumns* some, Scratch& scratch) {
  with_format(m.format, [&](auto format) {
    using F = decltype(format);
    const uint8_t* data = m.data + panel * panel_bytes<F>(m.columns);
    if constexpr (IntegerFormat<F>::kExists)
      if (tokens > kDirectTokens)
        return multiply_integers<F>(data, m.columns, in.rounded, in.rounded_ld, tokens,
                                    scratch.words, scratch.y);
    if constexpr (std::is_same_v<F, Int4>) {
      for (int64_t t = 0; t < tokens; ++t)
        multiply_int4(data, m.columns, in.rounded + t * in.rounded_ld, scratch.y + t * kRows);
    } else {
      multiply_floats<F>(m, data, in.x, in.ld, tokens, some, scratch);
    }
  });
}
