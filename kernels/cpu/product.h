// Products of a packed matrix with one or many tokens, a panel at a time.
#pragma once

#include <type_traits>

#include "integers.h"

constexpr int kMaxTokens = 256;        // of one product
constexpr int64_t kBlockBytes = 16384;  // of a panel at a time, which stay in the first cache
constexpr int64_t kFloatColumns = 128;  // added up before they join the sum of all, at most
constexpr int64_t kBlockRows = 32;      // tokens that steps on blocks work on at a time
// Of values that no step outside of a chunk sees.
constexpr int64_t kRoomFloats = 40960;

// What a thread needs to multiply, allocated once.
struct alignas(64) Scratch {
  uint8_t unpacked[kRows * kIntegerColumns];
  float y[kMaxTokens * kRows];
  float room[kRoomFloats];
};

enum Format : int64_t { kFloat32, kFloat16, kBfloat16, kInt8, kInt4, kInt4Columns, kBfloat16Rounded };

template <class Use>
inline auto with_format(int64_t format, Use use) {
  switch (format) {
    case kFloat16: return use(Float16{});
    case kBfloat16: return use(Bfloat16{});
    case kInt8: return use(Int8{});
    case kInt4: return use(Int4{});
    case kInt4Columns: return use(Int4Columns{});
    case kBfloat16Rounded: return use(Bfloat16Rounded{});
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
  // While two vectors of rows are multiplied, as large a part of the next block is fetched.
  constexpr int64_t kAhead = F::kColumn / (kVecs / 2);
  const uint8_t *column = w.panel + w.first * F::kColumn, *next = w.next;
  x += w.first / F::kTogether;
  const auto step = [&](bool is_alone) {
    // Into the second cache: the first one is full of this block.
    for (int64_t line = 0; line < F::kTogether * kAhead; line += 64)
      __builtin_prefetch(next + line, 0, 2);
    next += F::kTogether * kAhead;
    Vec w0, w1;
    F::some(column, is_alone, w.j, w0, w1);
    for (int t = 0; t < N; ++t) {
      const Vec spread = splat(x[t * ldx]);
      total[t][0] = F::add(total[t][0], w0, spread);
      total[t][1] = F::add(total[t][1], w1, spread);
    }
    column += F::kTogether * F::kColumn, ++x;
  };
  const int64_t count = w.last - w.first;
  for (int64_t i = count / F::kTogether; i > 0; --i) step(false);
  if (count % F::kTogether) step(true);
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

// Percent of inputs that may be other than zero if the weights of those that are shall be left out:
// half of the columns here and there take as long as all in one stream, words of several columns
// and int4, whose stream is multiplied in integers, longer. Measured.
inline int64_t most_nonzero(int64_t format) {
  if (format == kInt8) return Int8::kColumns == 4 ? 10 : 15;
  return format == kInt4Columns ? 15 : 45;
}

enum Rounding : int64_t { kNotRounded, kToBytes, kToShorts, kToHalves, kByTwos };

inline int64_t rounding(int64_t format) {
  if (format == kInt4 || format == kInt4Columns) return kByTwos;
  if (format == kInt8) return std::is_same_v<Int8::Tokens, RoundedBytes> ? kToBytes : kToShorts;
  return format == kBfloat16Rounded && kIsRounded<Bfloat16Rounded> ? kToHalves : kNotRounded;
}

// Floats that hold one token's rounded inputs.
inline int64_t rounded_floats(int64_t format, int64_t columns) {
  switch (rounding(format)) {
    case kToBytes: return RoundedBytes::floats(columns);
    case kToShorts: return RoundedShorts::floats(columns);
    case kToHalves: return RoundedHalves::floats(columns);
    case kByTwos: return RoundedByTwos::floats(columns);
    default: return 0;
  }
}

// Rounds one token for a product.
inline void round_inputs(int64_t format, const float* x, int64_t columns, float* to) {
  switch (rounding(format)) {
    case kToBytes: return RoundedBytes::round(x, columns, Int8::kZero, to);
    case kToShorts: return RoundedShorts::round(x, columns, Int8::kZero, to);
    case kToHalves: return RoundedHalves::round(x, columns, to);
    case kByTwos: return RoundedByTwos::round(x, columns, Int4::kZero, to);
  }
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
      multiply_int8(data, columns, rounded, SomeWords{*some}, y);
    else
      multiply_int8(data, columns, rounded, AllWords{}, y);
  } else if constexpr (std::is_same_v<F, Int4>) {
    multiply_int4<F>(data, columns, rounded, y);
  } else {
    Vec result[kVecs];
    const float* inputs = kIsRounded<F> ? rounded : x;
    if (some)
      Panel<F>::multiply(data, columns, inputs, *some, result);
    else if constexpr (std::is_same_v<F, Int4Columns>)
      return multiply_int4<F>(data, columns, rounded, y);
    else
      Panel<F>::multiply(data, columns, inputs, AllColumns{columns}, result);
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
    if (tokens == 1) {
      multiply_token<F>(data, m.columns, in.x, in.rounded, some, scratch.y);
    } else if constexpr (IntegerFormat<F>::kExists) {
      multiply_integers<F>(data, m.columns, in.rounded, in.rounded_ld, tokens, scratch.unpacked,
                           scratch.y);
    } else {
      constexpr bool is_rounded = kIsRounded<F>;
      multiply_floats<F>(data, m.columns, is_rounded ? in.rounded : in.x,
                         is_rounded ? in.rounded_ld : in.ld, tokens, scratch.y);
    }
  });
}
