// Turns weights into panels, rounding them to few bits where the format says so. What 8 and 4
// bits mean, and the same roundings in torch: rwkv_core/quantization.py.
#pragma once

#include <cmath>
#include <vector>

#include "pool.h"

// A weight of floats (kFloat32, kFloat16 or kBfloat16), with strides in elements. Formats of
// floats take their own type only.
struct Source {
  const void* values;
  int64_t type, rows, columns, row_stride, column_stride;
};

// Shares of the largest weight tried as the end of an int4 scale; 15 tries.
constexpr int kTries = 15;
inline float share_of(int attempt) { return (float)((0.7 + 0.025 * attempt) / 7); }

// Adding 1.5 * 2^23 rounds to the nearest integer, to an even one from the middle.
inline Vec nearest(Vec x) { return (x + splat(12582912.0f)) - splat(12582912.0f); }

// kLanes numbers of 32 or 16 bits, which stand next to each other, as floats.
inline Vec floats_of(int64_t type, const uint8_t* p) {
  if (type == kFloat32) return load_as<Vec>(p);
  if (type == kFloat16) return load_fp16(p);
  return as_floats(__builtin_convertvector(load_as<HalfVec>(p), IntVec) << 16);
}

// One row as floats; `to` has room for whole groups, and ends in zeros.
inline void read_row(const Source& from, int64_t row, std::vector<float>& to) {
  to.assign((from.columns + kGroup - 1) / kGroup * kGroup, 0.0f);
  const int64_t size = from.type == kFloat32 ? 4 : 2, step = from.column_stride * size;
  const uint8_t* values = (const uint8_t*)from.values + row * from.row_stride * size;
  const int64_t whole = step == size ? from.columns / kLanes * kLanes : 0;
  for (int64_t c = 0; c < whole; c += kLanes) store(&to[c], floats_of(from.type, values + c * size));
  for (int64_t c = whole; c < from.columns; c += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, from.columns - c);
    uint8_t part[4 * kLanes] = {};
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(part + i * size, values + (c + i) * step, size);
    store(&to[c], floats_of(from.type, part));
  }
}

// Of whole vectors.
inline float largest_of(const float* x, int64_t count) {
  IntVec largest{};
  for (int64_t c = 0; c < count; c += kLanes) {
    const IntVec size = load_as<IntVec>(x + c) & 0x7fffffff;
    largest = largest > size ? largest : size;
  }
  const int32_t bits = largest_lane(largest);
  return load_as<float>(&bits);
}

// A row of int8, whose scale is returned.
inline float round_int8(const std::vector<float>& x, int64_t columns, int8_t* to) {
  const float largest = largest_of(x.data(), x.size());  // NaN stays NaN
  const float scale = (largest < 1e-30f ? 1e-30f : largest) / 127;
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Vec whole = nearest(load(&x[c]) / splat(scale));
    const ByteVec bytes = narrow(__builtin_convertvector(whole, IntVec));
    std::memcpy(to + c, &bytes, std::min<int64_t>(kLanes, columns - c));
  }
  return scale;
}

// Which of some scales has the least squared error for a group of int4: its number. The tries lie
// across the lanes. They multiply by inverses, as dividing each number would take most of the time.
template <int n>
inline int best_of(const float* x, const float* scales) {
  IntVec errors[n], least;
  for (int i = 0; i < n; ++i) {
    const Vec scale = load(scales + i * kLanes), inverse = splat(1) / scale;
    const auto square = [&](int c) {
      const Vec size = splat(std::fabs(x[c]));
      const Vec d = smaller(nearest(size * inverse), splat(7)) * scale - size;
      return d * d;
    };
    Vec even{}, odd{};
    for (int c = 0; c < kGroup; c += 2) even += square(c), odd += square(c + 1);
    // Numbers that are not negative are in the order of their bits.
    const Vec error = even + odd;
    errors[i] = load_as<IntVec>(&error);
    if (i == 0) least = errors[0];
    least = errors[i] < least ? errors[i] : least;
  }
  const int32_t least_of_all = -largest_lane(-least);
  for (int i = 0; i < n; ++i)
    if (const uint32_t lanes = nonzero_lanes(as_floats(errors[i] == least_of_all)))
      return i * kLanes + __builtin_ctz(lanes);
  return 0;
}

// Bytes of a group of int4, whose scale's byte is returned: the one with the least squared error.
inline uint8_t round_int4(const float* x, const RowScales& row, uint8_t* bytes) {
  constexpr int n = kGroup / kLanes, vectors = (kTries + kLanes - 1) / kLanes;
  const float largest = largest_of(x, kGroup);
  // Rounded first: the error that counts is that of the scale which is stored.
  alignas(64) float scales[vectors * kLanes];
  for (int attempt = 0; attempt < vectors * kLanes; ++attempt)
    scales[attempt] = largest * share_of(std::min(attempt, kTries - 1));
  row.round(scales, vectors * kLanes);
  const int best = best_of<vectors>(x, scales);
  int32_t nibbles[kGroup];
  for (int i = 0; i < n; ++i) {
    const Vec q = nearest(load(x + i * kLanes) / splat(scales[best]));
    const IntVec whole = __builtin_convertvector(larger(splat(-7), smaller(q, splat(7))), IntVec) + 8;
    std::memcpy(nibbles + i * kLanes, &whole, sizeof(whole));
  }
  for (int c = 0; c < kGroup / 2; ++c) bytes[c] = nibbles[c] | nibbles[c + kGroup / 2] << 4;
  return row.byte_of(scales[best]);
}

// Some columns at a time: a whole row would fetch each line of the panel once for every row.
template <class T, class At>
inline void pack_elements(const Source& from, int64_t first, uint8_t* panel, At at) {
  constexpr int64_t kTogether = 64 / sizeof(T);
  const T* values = (const T*)from.values + first * from.row_stride;
  const int64_t rows = std::min<int64_t>(kRows, from.rows - first);
  for (int64_t begin = 0; begin < from.columns; begin += kTogether) {
    const int64_t end = std::min(from.columns, begin + kTogether);
    for (int64_t row = 0; row < rows; ++row) {
      const T* source = values + row * from.row_stride;
      T* to = (T*)panel + at(row);
      for (int64_t c = begin; c < end; ++c) to[c * kRows] = source[c * from.column_stride];
    }
  }
}

// Where a row's group of int4 goes; see Int4 and Int4Columns.
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

template <class Place>
inline void pack_int4(const Source& from, int64_t first, uint8_t* panel, Place place) {
  std::vector<float> x;
  for (int64_t row = 0; row < kRows; ++row) {
    // Scales of rows past the last are multiplied too, and must be normal numbers.
    if (first + row < from.rows)
      read_row(from, first + row, x);
    else
      std::fill(x.begin(), x.end(), 0.0f);
    const auto scales = RowScales::of(largest_of(x.data(), x.size()) * share_of(kTries - 1));
    panel[panel_bytes<Int4>(from.columns) - kRows + row] = scales.exponent;
    for (size_t c = 0; c < x.size(); c += kGroup) {
      uint8_t bytes[kGroup / 2], *group = panel + c / kGroup * Int4::kGroupBytes;
      group[kGroup / 2 * kRows + row] = round_int4(&x[c], scales, bytes);
      place(bytes, row, group);
    }
  }
}

inline void pack_int8(const Source& from, int64_t first, uint8_t* panel) {
  const int64_t rows = std::min<int64_t>(kRows, from.rows - first);
  std::vector<float> x;
  const int64_t words = Int8::words(from.columns);
  std::vector<int8_t> bytes(rows * words * Int8::kColumns);
  for (int64_t row = 0; row < rows; ++row) {
    int8_t* to = &bytes[row * words * Int8::kColumns];
    read_row(from, first + row, x);
    const float scale = round_int8(x, from.columns, to);
    for (int64_t c = 0; c < from.columns; ++c) to[c] += Int8::kZero;
    std::memcpy(panel + words * Int8::kStep + row * 4, &scale, 4);
  }
  pack_elements<uint32_t>(Source{bytes.data(), 0, rows, words, words, 1}, 0, panel,
                      [](int64_t row) { return row; });
}

// The upper bytes that most numbers have, after a zero.
inline void choose_upper(const std::vector<uint16_t>& numbers, uint8_t* upper) {
  uint32_t counts[4][256] = {};  // so that equal neighbours do not wait for each other
  for (size_t i = 0; i < numbers.size(); ++i) ++counts[i % 4][numbers[i] >> 8];
  for (int i = 1; i < 4; ++i)
    for (int byte = 0; byte < 256; ++byte) counts[0][byte] += counts[i][byte];
  upper[0] = 0;
  for (int name = 1; name < 16; ++name) {
    counts[0][upper[name - 1]] = 0;
    upper[name] = std::max_element(counts[0], counts[0] + 256) - counts[0];
  }
}

// Columns of Bfloat16 in 12 bits. Returns whether there was room for all strays.
inline bool pack_bfloat12(const std::vector<uint16_t>& numbers, uint8_t* panel, Strays& strays) {
  choose_upper(numbers, strays.upper);
  const int64_t columns = numbers.size() / kRows;
  const uint64_t most = Bfloat12::most_strays(columns);
  strays.count = 0;
  for (int64_t c = 0; c < columns; ++c, panel += Bfloat12::kColumn) {
    const uint16_t* column = &numbers[c * kRows];
    uint8_t names[kRows], is_named[kRows];
    for (size_t at = 0; at < kRows; at += sizeof(Bytes)) {
      const auto left = load_as<IntVec>(column + at);
      const auto right = load_as<IntVec>(column + at + sizeof(Bytes) / 2);
      const Bytes upper = Uppers::upper(left, right);
      Bytes name{}, found{};
      for (uint8_t i = 0; i < 16; ++i) {
        const auto is_same = (Bytes)(upper == strays.upper[i]);
        name |= is_same & i, found |= is_same;
      }
      const Bytes lower = Uppers::lower(left, right) & found;
      std::memcpy(panel + Bfloat12::kNames + at, &lower, sizeof(lower));
      std::memcpy(names + at, &name, sizeof(name));
      std::memcpy(is_named + at, &found, sizeof(found));
    }
    for (int i = 0; i < Bfloat12::kNames; ++i) panel[i] = names[i] | names[i + Bfloat12::kNames] << 4;
    if (!std::memchr(is_named, 0, kRows)) continue;
    for (uint32_t row = 0; row < kRows; ++row) {
      if (is_named[Bfloat12::place(row)]) continue;
      if (strays.count == most) return false;
      const uint32_t bits = (uint32_t)column[Bfloat16::place(row)] << 16;
      strays.some[strays.count++] = {(uint32_t)c * kRows + row, load_as<float>(&bits)};
    }
  }
  return true;
}

// Packs one panel after another, by several threads: rows of a matrix, the first of which begins one.
class PackJob : public Job {
 public:
  PackJob(const Matrix& to, const Source& from, int64_t row)
      : to_(to), from_(from), panel_(row / kRows) {}

  // Whether all that had to find room did.
  bool fits() const { return fits_; }

  int64_t phases() const override { return 1; }
  int64_t chunks(int64_t) const override { return ceil_div(from_.rows, kRows); }

  void run(int64_t, int64_t chunk, Scratch&) override {
    const int64_t first = chunk * kRows, bytes = to_.stride();
    uint8_t* panel = (uint8_t*)to_.data + (panel_ + chunk) * bytes;
    std::memset(panel, 0, bytes);
    const auto in_order = [](int64_t row) { return row; };
    switch (to_.format) {
      case kFloat16: pack_elements<uint16_t>(from_, first, panel, in_order); break;
      case kBfloat16:
      case kBfloat16Rounded: pack_elements<uint16_t>(from_, first, panel, Bfloat16::place); break;
      case kBfloat12:
      case kBfloat12Rounded: pack_short(first, panel, (Strays&)to_.strays(panel_ + chunk)); break;
      case kInt8: pack_int8(from_, first, panel); break;
      case kInt4: pack_int4(from_, first, panel, place_int4); break;
      case kInt4Columns: pack_int4(from_, first, panel, place_int4_columns); break;
      default: pack_elements<uint32_t>(from_, first, panel, in_order);
    }
  }

 private:
  void pack_short(int64_t first, uint8_t* panel, Strays& strays) {
    std::vector<uint16_t> numbers(from_.columns * kRows);
    pack_elements<uint16_t>(from_, first, (uint8_t*)numbers.data(), Bfloat16::place);
    if (!pack_bfloat12(numbers, panel, strays)) fits_ = false;
  }

  const Matrix to_;
  const Source from_;
  const int64_t panel_;
  std::atomic<bool> fits_{true};
};
