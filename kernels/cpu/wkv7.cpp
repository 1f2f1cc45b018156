// RWKV-7 recurrence, forward and backward, for one process's CPU threads.
// Definition: kernels/reference.py. No torch headers: this builds in a second.
//
// Per head and token, with S (values x keys), w = exp(log_decay), b = kk * a:
//   sa = S kk;   S <- S diag(w) - sa b' + v k';   y = S r
// Arrays are float32 and contiguous: r, log_decay, k, v, kk, a, y (B, T, H, N); states (B, H, N, N).

#include <algorithm>
#include <vector>

#include "wkv7.h"

namespace {

// States are kept every kSpan tokens for the backward pass, which replays the rest.
constexpr int kSpan = 16;

struct Inputs {
  const float *r, *log_decay, *k, *v, *kk, *a;
};

struct Gradients {
  float *r, *log_decay, *k, *v, *kk, *a;
};

struct Sizes {
  int64_t B, T, H;
  int64_t spans() const { return (T + kSpan - 1) / kSpan; }
};

template <int N>
struct Head : Wkv7Step<N> {
  using Step = Wkv7Step<N>;
  static constexpr int kVecs = Step::kVecs;

  static void forward(const Inputs& in, const Sizes& n, int64_t head, float* S, float* y,
                      float* kept, float* sa, float* measures) {
    alignas(64) float w[N], b[N];
    for (int64_t t = 0; t < n.T; ++t) {
      const int64_t token = (head / n.H * n.T + t) * n.H + head % n.H, o = token * N;
      if (kept && t % kSpan == 0)
        std::memcpy(kept + (head * n.spans() + t / kSpan) * N * N, S, sizeof(float) * N * N);
      Step::prepare(in.log_decay + o, in.kk + o, in.a + o, w, b);
      Measure m;
      float* sa_t = sa ? sa + o : nullptr;
      if (!measures) {
        Step::template step<false>(S, S, in.r + o, w, in.k + o, in.v + o, in.kk + o, b, y + o, sa_t, &m);
      } else {
        Step::template step<true>(S, S, in.r + o, w, in.k + o, in.v + o, in.kk + o, b, y + o, sa_t, &m);
        m.store(measures + Measure::kCount * token);
      }
    }
  }

  // One token backwards, its vectors at offset t. D is dL/dS after it, and becomes dL/dS before.
  static void step_back(float* D, const float* before, const float* after, const Inputs& in,
                        int64_t t, const float* w, const float* b, const float* sa,
                        const float* dy, const Gradients& out) {
    Vec gr[kVecs] = {}, gw[kVecs] = {}, gk[kVecs] = {}, gkk[kVecs] = {}, gb[kVecs] = {};
    for (int block = 0; block < N; block += kLanes) {
      Vec to_v[kLanes], to_sa[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int row = block + i;
        const Vec dyi = splat(dy[t + row]), vi = splat(in.v[t + row]), si = splat(sa[t + row]);
        Vec dvi{}, dsi{};
        for (int c = 0; c < kVecs; ++c) {
          const int o = c * kLanes;
          float* d = D + row * N + o;
          const Vec g = load(d) + dyi * load(in.r + t + o);
          store(d, g);
          dvi += g * load(in.k + t + o);
          dsi -= g * load(b + o);
          gr[c] += dyi * load(after + row * N + o);
          gw[c] += g * load(before + row * N + o);
          gk[c] += g * vi;
          gb[c] -= g * si;
        }
        to_v[i] = dvi;
        to_sa[i] = dsi;
      }
      float dsa[kLanes];
      store(out.v + t + block, sum_each_row(to_v));
      store(dsa, sum_each_row(to_sa));
      for (int i = 0; i < kLanes; ++i) {
        const Vec ds = splat(dsa[i]);
        for (int c = 0; c < kVecs; ++c) {
          const int o = c * kLanes, at = (block + i) * N + o;
          gkk[c] += ds * load(before + at);
          store(D + at, load(D + at) * load(w + o) + ds * load(in.kk + t + o));
        }
      }
    }
    for (int c = 0; c < kVecs; ++c) {
      const int o = c * kLanes;
      store(out.r + t + o, gr[c]);
      store(out.log_decay + t + o, gw[c] * load(w + o));
      store(out.k + t + o, gk[c]);
      store(out.kk + t + o, gkk[c] + gb[c] * load(in.a + t + o));
      store(out.a + t + o, gb[c] * load(in.kk + t + o));
    }
  }

  struct Scratch {
    std::vector<float> states = std::vector<float>((kSpan + 1) * N * N);
    std::vector<float> w = std::vector<float>(kSpan * N), b = std::vector<float>(kSpan * N);
  };

  static void backward(const Inputs& in, const Sizes& n, int64_t head, const float* kept,
                       const float* sa, const float* dy, float* D, const Gradients& grad,
                       Scratch& scratch) {
    auto offset = [&](int64_t t) { return ((head / n.H * n.T + t) * n.H + head % n.H) * N; };
    for (int64_t span = n.spans() - 1; span >= 0; --span) {
      const int64_t first = span * kSpan, last = std::min(n.T, first + kSpan);
      float* S = scratch.states.data();
      std::memcpy(S, kept + (head * n.spans() + span) * N * N, sizeof(float) * N * N);
      for (int64_t t = first; t < last; ++t, S += N * N) {
        const int64_t o = offset(t);
        float *w = &scratch.w[(t - first) * N], *b = &scratch.b[(t - first) * N];
        Step::prepare(in.log_decay + o, in.kk + o, in.a + o, w, b);
        for (int row = 0; row < N; ++row)
          for (int c = 0; c < N; c += kLanes)
            store(S + N * N + row * N + c, load(S + row * N + c) * load(w + c) -
                                               sa[o + row] * load(b + c) +
                                               in.v[o + row] * load(in.k + o + c));
      }
      for (int64_t t = last - 1; t >= first; --t) {
        const int64_t o = offset(t), at = t - first;
        const float* before = &scratch.states[at * N * N];
        step_back(D, before, before + N * N, in, o, &scratch.w[at * N], &scratch.b[at * N], sa, dy,
                  grad);
      }
    }
  }
};

template <int N>
void run_forward(const Inputs& in, const Sizes& n, float* state, float* y, float* kept, float* sa,
                 float* measures, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t head = 0; head < n.B * n.H; ++head)
    Head<N>::forward(in, n, head, state + head * N * N, y, kept, sa, measures);
}

template <int N>
void run_backward(const Inputs& in, const Sizes& n, const float* kept, const float* sa,
                  const float* dy, float* dstate, const Gradients& grad, int threads) {
#pragma omp parallel num_threads(threads)
  {
    typename Head<N>::Scratch scratch;
#pragma omp for schedule(static)
    for (int64_t head = 0; head < n.B * n.H; ++head)
      Head<N>::backward(in, n, head, kept, sa, dy, dstate + head * N * N, grad, scratch);
  }
}

}  // namespace

extern "C" {

// state holds S before the first token and, on return, after the last. May be null: kept
// (B, H, spans, N, N) and sa (B, T, H, N), which backward needs; measures (B, T, H, 5),
// see measure.h. Returns 0, or 1 for a head size without code.
int wkv7_forward(const float* r, const float* log_decay, const float* k, const float* v,
                 const float* kk, const float* a, float* state, float* y, float* kept, float* sa,
                 float* measures, int64_t B, int64_t T, int64_t H, int64_t N, int threads) {
  const Inputs in{r, log_decay, k, v, kk, a};
  const Sizes n{B, T, H};
  switch (N) {
    case 16: run_forward<16>(in, n, state, y, kept, sa, measures, threads); return 0;
    case 32: run_forward<32>(in, n, state, y, kept, sa, measures, threads); return 0;
    case 64: run_forward<64>(in, n, state, y, kept, sa, measures, threads); return 0;
    case 128: run_forward<128>(in, n, state, y, kept, sa, measures, threads); return 0;
    default: return 1;
  }
}

// dstate holds dL/dS after the last token and, on return, before the first.
int wkv7_backward(const float* r, const float* log_decay, const float* k, const float* v,
                  const float* kk, const float* a, const float* kept, const float* sa,
                  const float* dy, float* dstate, float* dr, float* dlog_decay, float* dk,
                  float* dv, float* dkk, float* da, int64_t B, int64_t T, int64_t H, int64_t N,
                  int threads) {
  const Inputs in{r, log_decay, k, v, kk, a};
  const Gradients grad{dr, dlog_decay, dk, dv, dkk, da};
  const Sizes n{B, T, H};
  switch (N) {
    case 16: run_backward<16>(in, n, kept, sa, dy, dstate, grad, threads); return 0;
    case 32: run_backward<32>(in, n, kept, sa, dy, dstate, grad, threads); return 0;
    case 64: run_backward<64>(in, n, kept, sa, dy, dstate, grad, threads); return 0;
    case 128: run_backward<128>(in, n, kept, sa, dy, dstate, grad, threads); return 0;
    default: return 1;
  }
}

int wkv7_span() { return kSpan; }
}
