// The steps of a plan that are not matrix products, on some tokens and some channels.
// What each computes: kernels/plan.py; tests compare them with torch.
#pragma once

#include <algorithm>
#include <cmath>

#include "product.h"
#include "wkv4.h"
#include "wkv6.h"
#include "wkv7.h"

// Rows (tokens) of one value. The space between rows, ld, is wider than a row by a vector or
// more, so that channels may be handled a whole vector at a time; what lies there means nothing.
struct Rows {
  float* data = nullptr;
  int64_t ld = 0, size = 0;
  float* operator[](int64_t row) const { return data + row * ld; }
};

// Tokens first_row to last_row, channels first to last; first is a multiple of kLanes.
struct Range {
  int64_t first_row, last_row, first, last;
};

template <class F>
inline void map(const Range& r, const Rows& out, F f) {
  for (int64_t row = r.first_row; row < r.last_row; ++row)
    for (int64_t c = r.first; c < r.last; c += kLanes) store(out[row] + c, f(row, c));
}

enum Activation : int64_t { kNone, kSigmoid, kTanh, kExp, kSilu, kSquaredRelu };

inline Vec activate(int64_t activation, Vec x) {
  switch (activation) {
    case kSigmoid: return sigmoid(x);
    case kTanh: return tanh(x);
    case kExp: return exp_limited(x);
    case kSilu: return x * sigmoid(x);
    case kSquaredRelu: return x < Vec{} ? Vec{} : x * x;
    default: return x;
  }
}

inline void layer_norm(const Range& r, const Rows& out, const Rows& x, const float* weight,
                       const float* bias, float eps) {
  const int64_t n = r.last, whole = n / kLanes * kLanes;
  for (int64_t row = r.first_row; row < r.last_row; ++row) {
    const float* from = x[row];
    Vec total = load_part(from + whole, n - whole);
    for (int64_t c = 0; c < whole; c += kLanes) total += load(from + c);
    const float mean = sum(total) / n;
    Vec squares{};
    for (int64_t c = 0; c < whole; c += kLanes) {
      const Vec d = load(from + c) - mean;
      squares += d * d;
    }
    float square = sum(squares);
    for (int64_t c = whole; c < n; ++c) square += (from[c] - mean) * (from[c] - mean);
    const float scale = 1 / std::sqrt(square / n + eps);
    for (int64_t c = 0; c < n; c += kLanes)
      store(out[row] + c, (load(from + c) - mean) * scale * load(weight + c) + load(bias + c));
  }
}

// The same within each head of N channels.
inline void group_norm(const Range& r, const Rows& out, const Rows& x, const float* weight,
                       const float* bias, float eps, int64_t N) {
  for (int64_t row = r.first_row; row < r.last_row; ++row)
    for (int64_t head = r.first; head < r.last; head += N) {
      const float* from = x[row] + head;
      Vec total{}, squares{};
      for (int64_t c = 0; c < N; c += kLanes) total += load(from + c);
      const float mean = sum(total) / N;
      for (int64_t c = 0; c < N; c += kLanes) {
        const Vec d = load(from + c) - mean;
        squares += d * d;
      }
      const float scale = 1 / std::sqrt(sum(squares) / N + eps);
      for (int64_t c = 0; c < N; c += kLanes)
        store(out[row] + head + c, (load(from + c) - mean) * scale * load(weight + head + c) +
                                       load(bias + head + c));
    }
}

// Each head divided by its length, or by 1e-12 if that is more.
inline void normalize(const Range& r, const Rows& out, const Rows& x, int64_t N) {
  for (int64_t row = r.first_row; row < r.last_row; ++row)
    for (int64_t head = r.first; head < r.last; head += N) {
      const float* from = x[row] + head;
      Vec squares{};
      for (int64_t c = 0; c < N; c += kLanes) squares += load(from + c) * load(from + c);
      const float length = std::sqrt(sum(squares));
      const float scale = 1 / (length < 1e-12f ? 1e-12f : length);
      for (int64_t c = 0; c < N; c += kLanes) store(out[row] + head + c, load(from + c) * scale);
    }
}

// out = y + (r · (weight k)) v within each head.
inline void add_bonus(const Range& range, const Rows& out, const Rows& y, const Rows& r,
                      const Rows& k, const Rows& v, const float* weight, int64_t N) {
  for (int64_t row = range.first_row; row < range.last_row; ++row)
    for (int64_t head = range.first; head < range.last; head += N) {
      Vec total{};
      for (int64_t c = head; c < head + N; c += kLanes)
        total += load(r[row] + c) * load(k[row] + c) * load(weight + c);
      const float bonus = sum(total);
      for (int64_t c = head; c < head + N; c += kLanes)
        store(out[row] + c, load(y[row] + c) + bonus * load(v[row] + c));
    }
}

// out[j] = sum over i of a[i] b[i][j], b being a square matrix for each token.
inline void row_product(const Range& range, const Rows& out, const Rows& a, const Rows& b) {
  for (int64_t row = range.first_row; row < range.last_row; ++row)
    for (int64_t j = 0; j < out.size; ++j) {
      float total = 0;
      for (int64_t i = 0; i < out.size; ++i) total += a[row][i] * b[row][i * out.size + j];
      out[row][j] = total;
    }
}

// Rounds inputs of products; a part of a row has to begin a panel.
inline void round_rows(const Range& range, const Rows& out, const Rows& x, int64_t format) {
  for (int64_t row = range.first_row; row < range.last_row; ++row)
    round_inputs(format, x[row] + range.first, range.last - range.first,
                 out[row] + rounded_at(format, range.first));
}

// A state before and after some tokens, of one layer: (B, H, N, N), or (B, 3, C) for RWKV-4.
struct Memory {
  const float* before;
  float* after;

  // Of the head that comes after one if each sequence has one token: the next one's in a range, or the first
  // one's of the next sequence, or of the next range.
  const float* next(const Range& r, int64_t row, int64_t head, int64_t N, int64_t C) const {
    if (head + N < r.last) return before + (row * C + head + N) * N;
    return before + (row + 1 < r.last_row ? (row + 1) * C + r.first : r.first_row * C + r.last) * N;
  }
};

// Calls use(Into{} or By{}): a state that one token reads and writes has no use for the cache.
template <class Use>
inline void with_way(int64_t T, const float* after, Use use) {
  if (T == 1 && (uintptr_t)after % sizeof(Vec) == 0) {
    use(By{});
    By::published();
  } else {
    use(Into{});
  }
}

// Tokens of one conversation, for one head. row: of the first.
template <int N>
inline void wkv7_run(int64_t row, int64_t n, int64_t h, const float* before, float* S,
                     const Rows& out, const Rows* in) {
  const auto of = [&](const Rows& rows) { return HeadRows{rows[row] + h, rows.ld}; };
  const HeadRows r = of(in[0]), log_decay = of(in[1]), k = of(in[2]), v = of(in[3]), kk = of(in[4]);
  Wkv7Run<N>::run(before, S, n, r, log_decay, k, v, kk, of(in[5]), out[row] + h, out.ld);
}

template <int N>
inline void wkv7(const Range& range, int64_t T, int64_t C, const Memory& memory, const Rows& out,
                 const Rows* in) {
  const Rows &r = in[0], &log_decay = in[1], &k = in[2], &v = in[3], &kk = in[4], &a = in[5];
  alignas(64) float w[N], b[N];
  with_way(T, memory.after, [&](auto way) {
    for (int64_t row = range.first_row, n; row < range.last_row; row += n) {
      n = std::min({range.last_row - row, T - row % T, Wkv7Run<N>::kTokens});
      for (int64_t h = range.first; h < range.last; h += N) {
        float* S = memory.after + (row / T * C + h) * N;
        const float* before = row % T ? S : memory.before + (row / T * C + h) * N;
        if (n > 1) {
          wkv7_run<N>(row, n, h, before, S, out, in);
          continue;
        }
        Wkv7Step<N>::prepare(log_decay[row] + h, kk[row] + h, a[row] + h, w, b);
        Wkv7Step<N>::template step<false, decltype(way)>(
            before, S, r[row] + h, w, k[row] + h, v[row] + h, kk[row] + h, b, out[row] + h, nullptr,
            nullptr, memory.next(range, row, h, N, C));
      }
    }
  });
}

// log_decay is a value, or a constant (C) where its data is null.
template <int N>
inline void wkv6(const Range& range, int64_t T, int64_t C, const Memory& memory, const Rows& out,
                 const Rows* in, const float* u, const float* constant) {
  const Rows &r = in[0], &log_decay = in[1], &k = in[2], &v = in[3];
  alignas(64) float w[N];
  with_way(T, memory.after, [&](auto way) {
    for (int64_t row = range.first_row; row < range.last_row; ++row)
      for (int64_t h = range.first; h < range.last; h += N) {
        float* S = memory.after + (row / T * C + h) * N;
        const float* before = row % T ? S : memory.before + (row / T * C + h) * N;
        Wkv6Step<N>::decays(constant ? constant + h : log_decay[row] + h, w);
        Wkv6Step<N>::template step<false, decltype(way)>(
            before, S, r[row] + h, w, k[row] + h, v[row] + h, u + h, out[row] + h, nullptr);
      }
  });
}

inline void wkv4(const Range& range, int64_t T, int64_t C, const Memory& memory, const Rows& out,
                 const Rows& k, const Rows& v, const float* log_decay, const float* u) {
  for (int64_t row = range.first_row; row < range.last_row; ++row)
    for (int64_t c = range.first; c < range.last; c += kLanes) {
      const int64_t count = range.last - c, at = row / T * 3 * C + c;
      const float* from = (row % T ? memory.after : memory.before) + at;
      Wkv4Memory m{load_part(from, count), load_part(from + C, count),
                   load_part(from + 2 * C, count)};
      store(out[row] + c, m.step(load(log_decay + c), load(u + c), load(k[row] + c), load(v[row] + c)));
      store_part(memory.after + at, m.a, count);
      store_part(memory.after + at + C, m.b, count);
      store_part(memory.after + at + 2 * C, m.p, count);
    }
}

// Calls f(std::integral_constant<int, N>) for the head sizes that have code.
template <class F>
inline void with_head_size(int64_t N, F f) {
  switch (N) {
    case 16: f(std::integral_constant<int, 16>{}); break;
    case 32: f(std::integral_constant<int, 32>{}); break;
    case 64: f(std::integral_constant<int, 64>{}); break;
    case 128: f(std::integral_constant<int, 128>{}); break;
  }
}
