// One token of RWKV-7's recurrence for one head; see wkv7.cpp.
#pragma once

#include <algorithm>
#include <type_traits>

#include "measure.h"

template <int N>
struct Wkv7Step {
  static constexpr int kVecs = N / kLanes;

  static Vec dot(const float* x, const float* y) {
    Vec total = load(x) * load(y);
    for (int c = 1; c < kVecs; ++c) total += load(x + c * kLanes) * load(y + c * kLanes);
    return total;
  }

  // w = exp(log_decay) and b = kk * a of one token.
  static void prepare(const float* log_decay, const float* kk, const float* a, float* w, float* b) {
    for (int c = 0; c < N; c += kLanes) {
      store(w + c, exp_nonpositive(load(log_decay + c)));
      store(b + c, load(kk + c) * load(a + c));
    }
  }

  // S becomes the state after the token; before may be the same array. next: what will be read soon, of
  // a state that goes By. While rows are written nothing else would come from memory.
  template <bool kMeasure, class To = Into>
  static void step(const float* before, float* S, const float* r, const float* w, const float* k,
                   const float* v, const float* kk, const float* b, float* y, float* sa_out,
                   Measure* measure, const float* next = nullptr) {
    for (int block = 0; block < N; block += kLanes) {
      const float* ahead = block + kLanes < N ? before + (block + kLanes) * N : next;
      Vec rows[kLanes];
      float sa[kLanes];
      for (int i = 0; i < kLanes; ++i) rows[i] = dot(before + (block + i) * N, kk);
      store(sa, sum_each_row(rows));
      if (sa_out) std::memcpy(sa_out + block, sa, sizeof(sa));
      for (int i = 0; i < kLanes; ++i) {
        const float* from = before + (block + i) * N;
        float* to = S + (block + i) * N;
        const Vec vi = splat(v[block + i]), si = splat(sa[i]);
        Vec read{};
        for (int c = 0; std::is_same_v<To, By> && c < N; c += 16)
          __builtin_prefetch(ahead + i * N + c);
        for (int c = 0; c < N; c += kLanes) {
          const Vec old = load(from + c);
          const Vec now = old * load(w + c) - si * load(b + c) + vi * load(k + c);
          To::put(to + c, now);
          read += now * load(r + c);
          if (kMeasure)
            measure->add(old, now, old - old * load(w + c), si * load(b + c), vi * load(k + c));
        }
        rows[i] = read;
      }
      store(y + block, sum_each_row(rows));
    }
  }
};

// Numbers of some tokens for one head: (n, N), ld floats apart.
struct HeadRows {
  const float* data;
  int64_t ld;
  const float* operator[](int64_t t) const { return data + t * ld; }
};

// Several tokens of one head. The state's rows lie across the lanes meanwhile: no vector's lanes
// are added up, and one pass over the state updates it, reads it, and meets the next token's kk.
template <int N>
struct Wkv7Run {
  static constexpr int kTogether = N >= 2 * kLanes ? 2 : 1;  // vectors of rows
  static constexpr int kWidth = kTogether * kLanes;
  static constexpr int64_t kTokens = 32;

  // Some rows of S (N, N), column after column, from one to the other.
  static void turn(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
    Vec part[kLanes];
    for (int i = 0; i < kLanes; ++i) part[i] = load(from + i * ld_from);
    transpose(part);
    for (int i = 0; i < kLanes; ++i) store(to + i * ld_to, part[i]);
  }

  // S becomes the state after n tokens, kTokens at most; before may be the same array.
  static void run(const float* before, float* S, int64_t n, const HeadRows& r,
                  const HeadRows& log_decay, const HeadRows& k, const HeadRows& v,
                  const HeadRows& kk, const HeadRows& a, float* y, int64_t ld_y) {
    alignas(64) float columns[N * kWidth], decayed[N];
    alignas(64) Token tokens[kTokens + 1];
    prepare(n, r, log_decay, k, kk, a, tokens, decayed);
    for (int block = 0; block < N; block += kWidth) {
      for (int u = 0; u < kWidth; u += kLanes)
        for (int c = 0; c < N; c += kLanes)
          turn(before + (block + u) * N + c, N, columns + c * kWidth + u, kWidth);
      Vec sa[kTogether] = {};
      for (int c = 0; c < N; ++c)
        for (int u = 0; u < kTogether; ++u)
          sa[u] += load(columns + c * kWidth + u * kLanes) * tokens[0].kk[c];
      for (int64_t t = 0; t < n; ++t)
        token(columns, tokens[t], tokens[t + 1].kk, v[t] + block, sa, y + t * ld_y + block);
      for (int c = 0; c < N; ++c)
        for (int u = 0; u < kWidth; u += kLanes)
          store(columns + c * kWidth + u, load(columns + c * kWidth + u) * decayed[c]);
      for (int u = 0; u < kWidth; u += kLanes)
        for (int c = 0; c < N; c += kLanes)
          turn(columns + c * kWidth + u, kWidth, S + (block + u) * N + c, N);
    }
  }

 private:
  // What a token meets in a state that has not decayed since the run began.
  struct Token {
    float r[N], k[N], b[N], kk[N];
  };

  // Columns of the state decay each by its own factor. What is written to them is divided by what
  // they would have decayed by until then, and what reads them multiplied, so that no token but the
  // last has to touch them for it. 32 decays of 0.545 or more, which RWKV-7's are, leave floats
  // their digits.
  static void prepare(int64_t n, const HeadRows& r, const HeadRows& log_decay, const HeadRows& k,
                      const HeadRows& kk, const HeadRows& a, Token* tokens, float* decayed) {
    for (int c = 0; c < N; c += kLanes) {
      Vec left = splat(1);
      for (int64_t t = 0; t < n; ++t) {
        const Vec removed = load(kk[t] + c);
        store(tokens[t].kk + c, removed * left);
        left *= exp_nonpositive(load(log_decay[t] + c));
        const Vec inverse = splat(1) / left;
        store(tokens[t].r + c, load(r[t] + c) * left);
        store(tokens[t].k + c, load(k[t] + c) * inverse);
        store(tokens[t].b + c, removed * load(a[t] + c) * inverse);
      }
      store(tokens[n].kk + c, Vec{});
      store(decayed + c, left);
    }
  }

  // sa = S kk, before the token of this kk and then of the next.
  static void token(float* columns, const Token& of, const float* next_kk, const float* v, Vec* sa,
                    float* y) {
    Vec vs[kTogether], removed[kTogether], read[kTogether], next[kTogether];
    for (int u = 0; u < kTogether; ++u) {
      vs[u] = load(v + u * kLanes), removed[u] = sa[u];
      read[u] = next[u] = Vec{};
    }
    for (int c = 0; c < N; ++c)
      for (int u = 0; u < kTogether; ++u) {
        float* at = columns + c * kWidth + u * kLanes;
        const Vec now = load(at) - removed[u] * of.b[c] + vs[u] * of.k[c];
        store(at, now);
        read[u] += now * of.r[c];
        next[u] += now * next_kk[c];
      }
    for (int u = 0; u < kTogether; ++u) store(y + u * kLanes, read[u]), sa[u] = next[u];
  }
};
