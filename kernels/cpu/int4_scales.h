// Scales of int4, a byte for each group of a row: (1 + mantissa / 16) * 2^(exponent - 15), the
// mantissa in the lower half. A row's own power of two, the largest that its scales need, times
// them all: its exponent is a byte at the end of the panel. Two bytes a scale would be a
// seventeenth more to read, for a hundredth less of error.
#pragma once

#include "rounded.h"

constexpr int kScaleBits = 4;  // of the mantissa, and of the exponent
constexpr int32_t kScaleShift = 23 - kScaleBits;
constexpr int kScaleOctaves = (1 << kScaleBits) - 1;

typedef uint8_t UnsignedBytes __attribute__((vector_size(kLanes)));

inline IntVec unsigned_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (IntVec)_mm512_cvtepu8_epi32(load_as<__m128i>(p));
#elif defined(__AVX2__)
  return (IntVec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  return __builtin_convertvector(load_as<UnsignedBytes>(p), IntVec);
#endif
}

// Scales of kLanes rows, but for the rows' powers.
inline Vec group_scales(const uint8_t* p) {
  return as_floats((unsigned_bytes(p) << kScaleShift) + ((127 - kScaleOctaves) << 23));
}

inline Vec row_powers(const uint8_t* p) { return as_floats(unsigned_bytes(p) << 23); }

// How scales of a row are rounded, as in rwkv_core.quantization: all are numbers of fp16 too.
struct RowScales {
  static constexpr float kLeast = 0x1p-20f, kMost = 0x1.fp15f;
  int32_t exponent;  // of float32, as its bits have it
  float least;

  template <class Bits>
  static Bits rounded(Bits bits) {
    return (bits + (1 << (kScaleShift - 1))) >> kScaleShift << kScaleShift;
  }

  // For the largest scale that will be asked for, or NaN.
  static RowScales of(float largest) {
    const int32_t exponent = std::clamp(rounded(load_as<int32_t>(&largest)) >> 23, 127 - 20, 127 + 15);
    const int32_t least = (exponent - kScaleOctaves) << 23;
    return {exponent, std::max(load_as<float>(&least), kLeast)};
  }

  // n whole vectors of scales.
  void round(float* x, int64_t count) const {
    for (int64_t i = 0; i < count; i += kLanes) {
      const Vec scale = as_floats(rounded(load_as<IntVec>(x + i)));
      store(x + i, smaller(larger(scale, splat(least)), splat(kMost)));
    }
  }

  uint8_t byte_of(float scale) const {
    return (load_as<int32_t>(&scale) >> kScaleShift) - ((exponent - kScaleOctaves) << kScaleBits);
  }
};
