// Numbers of the quantised blocks that most GGUF files have, as llama.cpp's ggml-common.h lays them
// out. Results are the same bits as those of the package gguf: a product of a half and two small
// integers is exact, whether or not the compiler joins it with what follows.
#pragma once

#include "pool.h"

// A number of 16 bits, which need not lie on a boundary.
inline float half(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  const bool is_finite = (bits & 0x7c00) != 0x7c00;
  // Its exponent is 112 too small there, which also makes numbers of what has none.
  const uint32_t moved = (uint32_t)(bits & 0x7fff) << 13, infinite = moved | 0x7f800000;
  float size;
  std::memcpy(&size, is_finite ? &moved : &infinite, sizeof(size));
  if (is_finite) size *= 0x1p112f;
  return bits & 0x8000 ? -size : size;
}

// Each has kBytes and kNumbers of a block, and unpacks one.

// A scale, then a signed byte for each number.
struct Q8_0 {
  static constexpr int kBytes = 34, kNumbers = 32;
  static void unpack(const uint8_t* from, float* to) {
    const float scale = half(from);
    const int8_t* numbers = (const int8_t*)from + 2;
    for (int i = 0; i < 32; ++i) to[i] = numbers[i] * scale;
  }
};

// A scale, then 16 bytes of two numbers, the upper ones being the last; 8 is zero.
struct Q4_0 {
  static constexpr int kBytes = 18, kNumbers = 32;
  static void unpack(const uint8_t* from, float* to) {
    const float scale = half(from);
    const uint8_t* bytes = from + 2;
    // Unrolled, the compiler would find no vectors in them.
#pragma GCC unroll 1
    for (int i = 0; i < 16; ++i) to[i] = ((bytes[i] & 15) - 8) * scale;
#pragma GCC unroll 1
    for (int i = 0; i < 16; ++i) to[16 + i] = ((bytes[i] >> 4) - 8) * scale;
  }
};

// Eight times 32 numbers have a scale and a minimum of 6 bits each, in units of two halves.
struct KScales {
  float scale[8], least[8];

  explicit KScales(const uint8_t* from) {
    const float unit = half(from), least_unit = half(from + 2);
    // The first four of both in the lower bits of eight bytes; the last ones in the nibbles of four
    // more, and in the upper bits of the former.
    const uint8_t *scales = from + 4, *minima = from + 8, *nibbles = from + 12;
    for (int i = 0; i < 4; ++i) {
      scale[i] = unit * (scales[i] & 63);
      least[i] = least_unit * (minima[i] & 63);
      scale[4 + i] = unit * ((nibbles[i] & 15) | scales[i] >> 6 << 4);
      least[4 + i] = least_unit * (nibbles[i] >> 4 | minima[i] >> 6 << 4);
    }
  }
};

// Then 32 bytes for 64 numbers, the upper ones being the last.
struct Q4_K {
  static constexpr int kBytes = 144, kNumbers = 256;
  static void unpack(const uint8_t* from, float* to) {
    const KScales of(from);
    for (int part = 0; part < 8; ++part) {
      const uint8_t* bytes = from + 16 + part / 2 * 32;
      const int shift = part % 2 * 4;
      const float scale = of.scale[part], least = of.least[part];
      for (int i = 0; i < 32; ++i) to[part * 32 + i] = scale * (bytes[i] >> shift & 15) - least;
    }
  }
};

// As Q4_K; before its bytes 32 more, whose bit `part` is the fifth of a number.
struct Q5_K {
  static constexpr int kBytes = 176, kNumbers = 256;
  static void unpack(const uint8_t* from, float* to) {
    const KScales of(from);
    const uint8_t* fifths = from + 16;
    for (int part = 0; part < 8; ++part) {
      const uint8_t* bytes = from + 48 + part / 2 * 32;
      const int shift = part % 2 * 4;
      const float scale = of.scale[part], least = of.least[part];
      for (int i = 0; i < 32; ++i) {
        const int number = (bytes[i] >> shift & 15) | (fifths[i] >> part & 1) << 4;
        to[part * 32 + i] = scale * number - least;
      }
    }
  }
};

// Four bits of each number, two more, a signed scale for each 16, their unit; 32 is zero.
struct Q6_K {
  static constexpr int kBytes = 210, kNumbers = 256;
  static void unpack(const uint8_t* from, float* to) {
    const int8_t* scales = (const int8_t*)from + 192;
    const float unit = half(from + 208);
    for (int part = 0; part < 16; ++part) {
      // Of 128 numbers: 64 bytes of nibbles, the upper ones being the last, and 32 of pairs of bits.
      const int half = part / 8, quarter = part / 2 % 4;
      const uint8_t* lower = from + half * 64 + quarter % 2 * 32 + part % 2 * 16;
      const uint8_t* upper = from + 128 + half * 32 + part % 2 * 16;
      const int lower_shift = quarter / 2 * 4, upper_shift = quarter * 2;
      const float scale = unit * scales[part];
      for (int i = 0; i < 16; ++i) {
        const int number = (lower[i] >> lower_shift & 15) | (upper[i] >> upper_shift & 3) << 4;
        to[part * 16 + i] = scale * (number - 32);
      }
    }
  }
};

// GGUF's number of a type, and its blocks' sizes; without, it is not known here.
struct BlockType {
  int64_t bytes, numbers;
  void (*unpack)(const uint8_t* from, float* to);

  template <class Block>
  static BlockType of() {
    return {Block::kBytes, Block::kNumbers, Block::unpack};
  }

  static BlockType of(int64_t kind) {
    switch (kind) {
      case 2: return of<Q4_0>();
      case 8: return of<Q8_0>();
      case 12: return of<Q4_K>();
      case 13: return of<Q5_K>();
      case 14: return of<Q6_K>();
      default: return {};
    }
  }
};

// Some neighbouring blocks at a time. Threads' shares are those of a job that packs the numbers next.
class UnpackJob : public Job {
 public:
  UnpackJob(const BlockType& type, const uint8_t* from, int64_t count, float* to)
      : type_(type), from_(from), count_(count), to_(to) {}

  int64_t phases() const override { return 1; }
  int64_t chunks(int64_t) const override { return ceil_div(count_, kBlocks); }

  void run(int64_t, int64_t chunk, Scratch&) override {
    const int64_t end = std::min(count_, (chunk + 1) * kBlocks);
    for (int64_t i = chunk * kBlocks; i < end; ++i)
      type_.unpack(from_ + i * type_.bytes, to_ + i * type_.numbers);
  }

 private:
  static constexpr int64_t kBlocks = 256;
  const BlockType type_;
  const uint8_t* from_;
  const int64_t count_;
  float* to_;
};
