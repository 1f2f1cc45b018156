// Products of a packed matrix with one or many tokens, a panel at a time.
#pragma once

#include <type_traits>

#include "int4.h"

constexpr int kMaxTokens = 256;      // of one product
constexpr int kDirectTokens = 3;    // so few read a panel again instead of unpacking it
constexpr int kBlockColumns = 128;  // unpacked at a time, so that they stay in the cache
// Totals of a tile fill the vector registers: 16 of them, or 32 with AVX-512.
constexpr int kTileTokens = kLanes == 16 ? 12 : 6;

// What a thread needs to multiply, allocated once.
struct alignas(64) Scratch {
  float weights[kRows * kBlockColumns];
  float y[kMaxTokens * kRows];
  Rounded rounded;
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

template <int N>
inline void last_tile(int64_t tokens, const float* w, int64_t columns, const float* x, int64_t ldx,
                      float* y) {
  if (tokens == N) return tile<N>(w, columns, x, ldx, y);
  if constexpr (N > 1) last_tile<N - 1>(tokens, w, columns, x, ldx, y);
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
  for (int64_t first = 0; first < m.columns; first += kBlockColumns) {
    const int64_t last = std::min(m.columns, first + kBlockColumns), count = last - first;
    Panel<F>::unpack(data, m.columns, first, last, scratch.weights);
    for (int part = 0; part < kVecs / 2; ++part) {
      const float* w = scratch.weights + part * count * 2 * kLanes;
      float* y = scratch.y + part * 2 * kLanes;
      int64_t t = 0;
      for (; t + kTileTokens <= tokens; t += kTileTokens)
        tile<kTileTokens>(w, count, x + t * ldx + first, ldx, y + t * kRows);
      last_tile<kTileTokens - 1>(tokens - t, w, count, x + t * ldx + first, ldx, y + t * kRows);
    }
  }
}

// scratch.y[token][0..63] = one panel · x[token]. A list of columns (one token only) names those
// whose input is not zero, and the others are not read.
inline void multiply_panel(const Matrix& m, int64_t panel, const float* x, int64_t ldx,
                           int64_t tokens, const SomeColumns* some, Scratch& scratch) {
  with_format(m.format, [&](auto format) {
    using F = decltype(format);
    const uint8_t* data = m.data + panel * panel_bytes<F>(m.columns);
    if constexpr (std::is_same_v<F, Int4>) {
      scratch.rounded.round(x, ldx, tokens, m.columns);
      multiply_int4(data, scratch.rounded, scratch.y);
    } else {
      multiply_floats<F>(m, data, x, ldx, tokens, some, scratch);
    }
  });
}

// Where a weight's rows come from: a tensor of the format's elements, with strides in elements.
// int4: nibbles (rows, groups, 16) as in rwkv_core.quantization. scale: int8 float32 (rows),
// int4 fp16 (rows, groups).
struct Source {
  const void* values;
  const void* scale;
  int64_t rows, columns, row_stride, column_stride;
};

template <class T, class At>
inline void pack_elements(const Source& from, int64_t first, uint8_t* panel, At at) {
  const T* values = (const T*)from.values;
  T* to = (T*)panel;
  const int64_t rows = std::min<int64_t>(kRows, from.rows - first);
  for (int64_t c = 0; c < from.columns; ++c)
    for (int64_t row = 0; row < rows; ++row)
      to[c * kRows + at(row)] = values[(first + row) * from.row_stride + c * from.column_stride];
}

// Scales of a row's group follow the group's nibbles.
template <class Place>
inline void pack_int4_groups(const Source& from, int64_t first, uint8_t* panel, Place place) {
  const int64_t groups = (from.columns + kGroup - 1) / kGroup;
  const int64_t rows = std::min<int64_t>(kRows, from.rows - first);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t source = (first + row) * groups + g;
      uint8_t* group = panel + g * Int4::kGroupBytes;
      place((const uint8_t*)from.values + source * kGroup / 2, row, group);
      std::memcpy(group + kGroup / 2 * kRows + row * 2, (const uint16_t*)from.scale + source, 2);
    }
}

inline void place_int4(const uint8_t* bytes, int64_t row, uint8_t* group) {
  for (int q = 0; q < Int4::kQuarters; ++q)
    std::memcpy(group + (q * kRows + row) * 4, bytes + 4 * q, 4);
}

inline void place_int4_columns(const uint8_t* bytes, int64_t row, uint8_t* group) {
  const int64_t nibble = row / kLanes, lane = row % kLanes;
  // Lanes of kVecs nibbles, but at most a word of 8: narrow vectors have two words.
  const int64_t at = nibble / 8 * kLanes * 8 + lane * Int4Columns::kNibbles + nibble % 8;
  for (int64_t c = 0; c < kGroup; ++c) {
    const int value = c < kGroup / 2 ? bytes[c] & 15 : bytes[c - kGroup / 2] >> 4;
    group[c * Int4Columns::kColumn + at / 2] |= value << (at % 2 * 4);
  }
}

// Writes the panels of some rows, the first of which begins a panel.
inline void pack_rows(int64_t format, const Source& from, uint8_t* to) {
  const int64_t bytes =
      with_format(format, [&](auto f) { return panel_bytes<decltype(f)>(from.columns); });
  std::memset(to, 0, bytes * ((from.rows + kRows - 1) / kRows));
  const auto in_order = [](int64_t row) { return row; };
  const auto in_pairs = [](int64_t row) {
    const int64_t pair = row / (2 * kLanes), half = row / kLanes % 2, lane = row % kLanes;
    return pair * 2 * kLanes + lane * 2 + half;
  };
  for (int64_t first = 0; first < from.rows; first += kRows, to += bytes) {
    switch (format) {
      case kFloat16: pack_elements<uint16_t>(from, first, to, in_order); break;
      case kBfloat16: pack_elements<uint16_t>(from, first, to, in_pairs); break;
      case kInt8:
        pack_elements<uint8_t>(from, first, to, in_order);
        std::memcpy(to + from.columns * kRows, (const float*)from.scale + first,
                    4 * std::min<int64_t>(kRows, from.rows - first));
        break;
      case kInt4: pack_int4_groups(from, first, to, place_int4); break;
      case kInt4Columns: pack_int4_groups(from, first, to, place_int4_columns); break;
      default: pack_elements<uint32_t>(from, first, to, in_order);
    }
  }
}
