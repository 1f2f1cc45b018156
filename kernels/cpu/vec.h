// Fixed-width float vectors on the compiler's vector extension: one source for
// AVX-512, AVX2, SSE and NEON. The build passes -march=native.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// Which instructions this is compiled for, in the order of what they are worth.
constexpr const char* kVectors =
#if defined(__AVX512BF16__)
    "AVX-512 with VNNI and BF16";
#elif defined(__AVX512VNNI__)
    "AVX-512 with VNNI";
#elif defined(__AVX512F__)
    "AVX-512";
#elif defined(__AVX2__)
    "AVX2";
#else
    "16-byte vectors";
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));

template <class T>
inline T load_as(const void* p) {
  T x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}

inline Vec load(const float* p) { return load_as<Vec>(p); }

inline void store(float* p, Vec x) { std::memcpy(p, &x, sizeof(x)); }

// Or else the compiler may load it again for each use.
template <class Any>
inline Any in_register(Any x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#endif
  return x;
}

inline void add_to(float* p, Vec x) { store(p, load(p) + x); }

// Up to kLanes numbers; the rest of the vector is 0.
inline Vec load_part(const float* p, int64_t count) {
  if (count >= kLanes) return load(p);
  Vec x{};
  std::memcpy(&x, p, sizeof(float) * count);
  return x;
}

inline void store_part(float* p, Vec x, int64_t count) {
  if (count >= kLanes) return store(p, x);
  std::memcpy(p, &x, sizeof(float) * count);
}

// b where either is NaN. The compiler would compare, then choose.
#if defined(__AVX512F__)
inline Vec larger(Vec a, Vec b) { return (Vec)_mm512_max_ps((__m512)a, (__m512)b); }
inline Vec smaller(Vec a, Vec b) { return (Vec)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX__)
inline Vec larger(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
inline Vec smaller(Vec a, Vec b) { return (Vec)_mm256_min_ps((__m256)a, (__m256)b); }
#else
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }
inline Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
#endif

inline Vec splat(float x) { return x - Vec{}; }

// Interleaves the lower (or upper) halves of a and b: a0 b0 a1 b1 ...
template <bool kUpper>
inline Vec interleave(Vec a, Vec b) {
  constexpr int h = kUpper ? kLanes / 2 : 0, n = kLanes;
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IntVec{__VA_ARGS__})
#endif
#if defined(__AVX512F__)
  return SHUFFLE(a, b, h, n + h, h + 1, n + h + 1, h + 2, n + h + 2, h + 3, n + h + 3, h + 4,
                 n + h + 4, h + 5, n + h + 5, h + 6, n + h + 6, h + 7, n + h + 7);
#elif defined(__AVX__)
  return SHUFFLE(a, b, h, n + h, h + 1, n + h + 1, h + 2, n + h + 2, h + 3, n + h + 3);
#else
  return SHUFFLE(a, b, h, n + h, h + 1, n + h + 1);
#endif
#undef SHUFFLE
}

// Lanes 1 0 3 2 ...
inline Vec with_neighbours(Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_permute_ps((__m512)x, 0xb1);
#elif defined(__AVX__)
  return (Vec)_mm256_permute_ps((__m256)x, 0xb1);
#elif defined(__clang__)
  return __builtin_shufflevector(x, x, 1, 0, 3, 2);
#else
  return __builtin_shuffle(x, IntVec{1, 0, 3, 2});
#endif
}

// Where a new state goes. By: past the cache, which would read it first; p is a whole vector's
// boundary, and published() has to follow before another thread may read it.
struct Into {
  static void put(float* p, Vec x) { store(p, x); }
};
struct By {
  static void put(float* p, Vec x) {
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)x);
#elif defined(__AVX__)
    _mm256_stream_ps(p, (__m256)x);
#else
    store(p, x);
#endif
  }
  static void published() {
#if defined(__AVX__)
    _mm_sfence();
#endif
  }
};

// Lane i of the result is the sum of all lanes of rows[i]; rows is overwritten.
// Interleaving keeps the rows in order, so no permutation is needed at the end.
inline Vec sum_each_row(Vec* rows) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      rows[i] = interleave<false>(rows[i], rows[i + half]) + interleave<true>(rows[i], rows[i + half]);
  return rows[0];
}

// Lane i of vector j becomes lane j of vector i: each round moves one bit of a number's place from
// the vector's number to the lane's.
inline void transpose(Vec* rows) {
  for (int round = 1; round < kLanes; round *= 2) {
    Vec moved[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      moved[2 * i] = interleave<false>(rows[i], rows[i + kLanes / 2]);
      moved[2 * i + 1] = interleave<true>(rows[i], rows[i + kLanes / 2]);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = moved[i];
  }
}

// Bit i: whether lane i is not zero.
inline uint32_t nonzero_lanes(Vec x) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
#elif defined(__AVX__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_setzero_ps(), _CMP_NEQ_UQ));
#else
  uint32_t mask = 0;
  for (int i = 0; i < kLanes; ++i) mask |= (uint32_t)(x[i] != 0) << i;
  return mask;
#endif
}

inline float sum(Vec x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#else
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += x[i];
  return total;
#endif
}

inline int32_t sum(IntVec x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)x);
#else
  int32_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += x[i];
  return total;
#endif
}

inline int32_t largest_lane(IntVec x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epi32((__m512i)x);
#else
  int32_t most = x[0];
  for (int i = 1; i < kLanes; ++i) most = x[i] > most ? x[i] : most;
  return most;
#endif
}

// exp(x) for x <= 0, within 2 ulp; below -87 it stays at exp(-87). NaN stays NaN.
inline Vec exp_nonpositive(Vec x) {
  x = x < splat(-87.0f) ? splat(-87.0f) : x;
  // Adding 1.5 * 2^23 rounds to the nearest integer in the low bits.
  const Vec rounded = x * 1.442695041f + splat(12582912.0f);
  const Vec n = rounded - splat(12582912.0f);
  const Vec f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * f + splat(1.3981999507e-3f);
  p = p * f + splat(8.3334519073e-3f);
  p = p * f + splat(4.1665795894e-2f);
  p = p * f + splat(1.6666665459e-1f);
  p = p * f + splat(5.0000001201e-1f);
  p = p * f * f + f + splat(1.0f);
  IntVec bits;
  std::memcpy(&bits, &rounded, sizeof(bits));
  bits = (bits << 23) + 0x3f800000;
  Vec scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return p * scale;
}

// exp(x); above 88 it stays at exp(88).
inline Vec exp_limited(Vec x) { return exp_nonpositive(x > splat(88.0f) ? splat(88.0f) : x); }

inline Vec sigmoid(Vec x) {
  const Vec e = exp_nonpositive(x < Vec{} ? x : -x);
  return (x < Vec{} ? e : splat(1.0f)) / (splat(1.0f) + e);
}

// tanh(x), within 3 ulp: a polynomial near 0, where 1 - exp would lose digits.
inline Vec tanh(Vec x) {
  const Vec magnitude = x < Vec{} ? -x : x, square = x * x;
  const Vec e = exp_nonpositive(-2.0f * magnitude);
  const Vec far = (splat(1.0f) - e) / (splat(1.0f) + e);
  Vec p = splat(-5.70498872745e-3f);
  p = p * square + splat(2.06390887954e-2f);
  p = p * square + splat(-5.37397155531e-2f);
  p = p * square + splat(1.33314422036e-1f);
  p = p * square + splat(-3.33332819422e-1f);
  return magnitude < splat(0.625f) ? p * square * x + x : (x < Vec{} ? -far : far);
}
