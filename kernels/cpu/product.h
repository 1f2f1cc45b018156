// Products of a packed matrix with one or many tokens, a panel at a time.
#pragma once

#include <type_traits>
#include <utility>

#include "bfloat12.h"
#include "integers.h"

constexpr int kMaxTokens = 256;        // of one product
// At a time, added up before they join the sum of all. For few tokens the first cache should hold
// them; tiles that are a whole panel wide read them from the second one as fast. Measured.
constexpr int64_t kFloatColumns = kLanes == 16 ? 256 : 128, kFewColumns = 128;
constexpr int64_t kFewTokens = 16;
constexpr int64_t kBlockRows = 32;      // tokens that steps on blocks work on at a time
// Of values that no step outside of a chunk sees.
constexpr int64_t kRoomFloats = 65536;

// What a thread needs to multiply, allocated once.
struct alignas(64) Scratch {
  uint8_t unpacked[kFloatColumns * Bfloat16::kColumn];
  static_assert(sizeof(unpacked) >= kRows * kIntegerColumns);
  float y[kMaxTokens * kRows];
  float room[kRoomFloats];
};

enum Format : int64_t {
  kFloat32, kFloat16, kBfloat16, kInt8, kInt4, kInt4Columns, kBfloat16Rounded, kBfloat12,
  kBfloat12Rounded
};

template <class Use>
inline auto with_format(int64_t format, Use use) {
  switch (format) {
    case kFloat16: return use(Float16{});
    case kBfloat16: return use(Bfloat16{});
    case kInt8: return use(Int8{});
    case kInt4: return use(Int4{});
    case kInt4Columns: return use(Int4Columns{});
    case kBfloat16Rounded: return use(Bfloat16Rounded{});
    case kBfloat12: return use(Bfloat12{});
    case kBfloat12Rounded: return use(Bfloat12Rounded{});
    default: return use(Float32{});
  }
}

struct Matrix {
  const uint8_t* data;
  int64_t rows, columns, format;
  int64_t panels() const { return (rows + kRows - 1) / kRows; }
  // Of one panel.
  int64_t stride() const {
    return with_format(format, [&](auto f) { return panel_bytes<decltype(f)>(columns); });
  }
  // Of what stands apart from one.
  int64_t list_bytes() const {
    return format == kBfloat12 || format == kBfloat12Rounded ? Bfloat12::list_bytes(columns) : 0;
  }
  int64_t bytes() const { return panels() * (stride() + list_bytes()); }
  const Strays& strays(int64_t panel) const {
    return *(const Strays*)(data + panels() * stride() + panel * list_bytes());
  }
};

// Columns of a panel, as they lie in memory.
template <class F>
struct InPlace {
  static constexpr int64_t kInMemory = F::kColumn;
  const uint8_t* panel;
  const uint8_t* columns(int64_t first, int64_t) const { return panel + first * kInMemory; }
};

// Those of 12 bits, made longer beforehand.
struct Lengthened {
  static constexpr int64_t kInMemory = Bfloat12::kColumn;
  const uint8_t* panel;
  const Strays& strays;
  uint8_t* room;  // for kFloatColumns
  const uint8_t* columns(int64_t first, int64_t last) const {
    Bfloat12::lengthen(panel, strays, first, last, room);
    return room;
  }
};

// Some columns, kTileVecs vectors of their rows, from vector j on.
template <class F>
struct Part {
  const uint8_t *columns, *next;  // next: what will be read soon
  int64_t first, count;
  int j;
};

// y[token][0..kTileVecs kLanes] += w · x[token] for N tokens, ldx floats apart.
template <class F, int N>
inline void tile(const Part<F>& w, const float* x, int64_t ldx, float* y) {
  Vec total[N][kTileVecs] = {};
  // While these vectors are multiplied, as large a part of the next block is fetched.
  constexpr int64_t kAhead = F::kColumn * kTileVecs / kVecs;
  const uint8_t *column = w.columns, *next = w.next;
  x += w.first / F::kTogether;
  const auto step = [&](bool is_alone) {
    // Into the second cache: the first one is full of this block.
    for (int64_t line = 0; line < F::kTogether * kAhead; line += 64)
      __builtin_prefetch(next + line, 0, 2);
    next += F::kTogether * kAhead;
    Vec part[kTileVecs];
    for (int j = 0; j < kTileVecs; j += 2) F::some(column, is_alone, w.j + j, part[j], part[j + 1]);
    for (Vec& some : part) some = in_register(some);
    for (int t = 0; t < N; ++t) {
      const Vec spread = splat(x[t * ldx]);
      for (int j = 0; j < kTileVecs; ++j) total[t][j] = F::add(total[t][j], part[j], spread);
    }
    column += F::kTogether * F::kColumn, ++x;
  };
  for (int64_t i = w.count / F::kTogether; i > 0; --i) step(false);
  if (w.count % F::kTogether) step(true);
  for (int t = 0; t < N; ++t)
    for (int j = 0; j < kTileVecs; ++j) add_to(y + t * kRows + j * kLanes, total[t][j]);
}

// y[token][0..63] = panel · x for several tokens, in floats; y is written whole.
template <class F, class From>
inline void multiply_floats(const From& from, int64_t columns, const float* x, int64_t ldx,
                            int64_t tokens, float* y) {
  const int64_t some = tokens > kFewTokens ? kFloatColumns : kFewColumns;
  std::memset(y, 0, sizeof(float) * kRows * tokens);
  for (int64_t first = 0; first < columns; first += some) {
    const int64_t last = std::min(columns, first + some);
    const uint8_t* block = from.columns(first, last);
    const uint8_t* next = from.panel + (first + some) * From::kInMemory;
    for_tiles(tokens, kTileTokens, [&](int64_t t, int64_t n) {
      for (int j = 0; j < kVecs; j += kTileVecs)
        with_count<kTileTokens>(n, [&](auto N) {
          tile<F, N>(Part<F>{block, next + j * some * From::kInMemory / kVecs, first, last - first, j},
                     x + t * ldx, ldx, y + t * kRows + j * kLanes);
        });
    });
  }
}

// Percent of inputs that may be other than zero if the weights of those that are shall be left out:
// half of the columns here and there take as long as all in one stream, words of several columns
// and int4, whose stream is multiplied in integers, longer, and so do columns of 12 bits, which share
// lines. Measured.
inline int64_t most_nonzero(int64_t format) {
  if (format == kInt8) return 10;
  if (format == kBfloat12 || format == kBfloat12Rounded) return 20;
  return format == kInt4Columns ? 15 : 45;
}

// To bytes in two ways, which differ in what their sums begin with.
enum Rounding : int64_t { kNotRounded, kToBytes, kToPairs, kToHalves, kToBytesOfInt4 };

inline int64_t rounding(int64_t format) {
  if (format == kInt4 || format == kInt4Columns) return kToBytesOfInt4;
  if (format == kInt8) return std::is_same_v<Int8::Tokens, RoundedBytes> ? kToBytes : kToPairs;
  const bool may = format == kBfloat16Rounded || format == kBfloat12Rounded;
  return may && kIsRounded<Bfloat16Rounded> ? kToHalves : kNotRounded;
}

// Floats that hold one token's rounded inputs.
inline int64_t rounded_floats(int64_t format, int64_t columns) {
  switch (rounding(format)) {
    case kToBytes:
    case kToBytesOfInt4: return RoundedBytes::floats(columns);
    case kToPairs: return RoundedPairs::floats(columns);
    case kToHalves: return RoundedHalves::floats(columns);
    default: return 0;
  }
}

// Floats before those of a column that begins a panel.
inline int64_t rounded_at(int64_t format, int64_t column) {
  switch (rounding(format)) {
    case kToHalves: return column / 2;
    case kToPairs: return column / RoundedPairs::kSharing * RoundedPairs::kSize;
    default: return column / RoundedBytes::kSharing * RoundedBytes::kSize;
  }
}

// Rounds one token, or whole panels of it, for a product.
inline void round_inputs(int64_t format, const float* x, int64_t columns, float* to) {
  switch (rounding(format)) {
    case kToBytes: return RoundedBytes::round(x, columns, Int8::kZero, to);
    case kToPairs: return RoundedPairs::round(x, columns, Int8::kZero, to);
    case kToHalves: return RoundedHalves::round(x, columns, to);
    case kToBytesOfInt4: return RoundedBytes::round(x, columns, Int4::kZero, to);
  }
}

// Some tokens, and the same rounded; rows that many floats apart.
struct Inputs {
  const float* x;
  int64_t ld;
  const float* rounded;
  int64_t rounded_ld;
};

// Those that a format of floats meets, and how far apart.
template <class F>
inline std::pair<const float*, int64_t> inputs_of(const Inputs& in) {
  if (kIsRounded<F>) return {in.rounded, in.rounded_ld};
  return {in.x, in.ld};
}

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
    if constexpr (kIsShort<F>) {
      using Longer = typename F::Longer;
      const Strays& strays = m.strays(panel);
      const auto [x, ld] = inputs_of<Longer>(in);
      if (some)
        ShortPanel<F, 1>::multiply(data, *some, strays, x, ld, scratch.y);
      else if (tokens <= kShortTokens<F>)
        with_count<kShortTokens<F>>(tokens, [&, x = x, ld = ld](auto N) {
          ShortPanel<F, N>::multiply(data, AllColumns{m.columns}, strays, x, ld, scratch.y);
        });
      else
        multiply_floats<Longer>(Lengthened{data, strays, scratch.unpacked}, m.columns, x, ld, tokens,
                                scratch.y);
    } else if (tokens == 1) {
      multiply_token<F>(data, m.columns, in.x, in.rounded, some, scratch.y);
    } else if constexpr (IntegerFormat<F>::kExists) {
      multiply_integers<F>(data, m.columns, in.rounded, in.rounded_ld, tokens, scratch.unpacked,
                           scratch.y);
    } else {
      const auto [x, ld] = inputs_of<F>(in);
      multiply_floats<F>(InPlace<F>{data}, m.columns, x, ld, tokens, scratch.y);
    }
  });
}
