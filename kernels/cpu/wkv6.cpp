// RWKV-5 and RWKV-6 recurrence, forward, for one process's CPU threads.
// Definition: kernels/reference.py. No torch headers: this builds in a second.
//
// Per head and token, with S (values x keys), w = exp(log_decay):
//   y = S r + (r . u k) v;   S <- S diag(w) + v k'
// Arrays are float32 and contiguous: r, k, v, y (B, T, H, N), log_decay the same or (H, N),
// u (H, N), states (B, H, N, N).

#include "wkv6.h"

namespace {

struct Inputs {
  const float *r, *log_decay, *k, *v, *u;
  bool is_constant;  // log_decay is (H, N)
};

struct Sizes {
  int64_t B, T, H;
};

template <int N>
struct Head : Wkv6Step<N> {
  using Step = Wkv6Step<N>;

  static void forward(const Inputs& in, const Sizes& n, int64_t head, float* S, float* y,
                      float* measures) {
    alignas(64) float w[N];
    const int64_t h = head % n.H;
    if (in.is_constant) Step::decays(in.log_decay + h * N, w);
    for (int64_t t = 0; t < n.T; ++t) {
      const int64_t token = (head / n.H * n.T + t) * n.H + h, o = token * N;
      if (!in.is_constant) Step::decays(in.log_decay + o, w);
      Measure m;
      const float* u = in.u + h * N;
      if (!measures) {
        Step::template step<false>(S, S, in.r + o, w, in.k + o, in.v + o, u, y + o, &m);
      } else {
        Step::template step<true>(S, S, in.r + o, w, in.k + o, in.v + o, u, y + o, &m);
        m.store(measures + Measure::kCount * token);
      }
    }
  }
};

template <int N>
void run(const Inputs& in, const Sizes& n, float* state, float* y, float* measures, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t head = 0; head < n.B * n.H; ++head)
    Head<N>::forward(in, n, head, state + head * N * N, y, measures);
}

}  // namespace

extern "C" {

// state holds S before the first token and, on return, after the last. measures (B, T, H, 5) may
// be null: see measure.h. is_constant says that log_decay is (H, N). Returns 0, or 1 for a head size without code.
int wkv6_forward(const float* r, const float* log_decay, const float* k, const float* v,
                 const float* u, float* state, float* y, float* measures, int64_t B, int64_t T,
                 int64_t H, int64_t N, int is_constant, int threads) {
  const Inputs in{r, log_decay, k, v, u, is_constant != 0};
  const Sizes n{B, T, H};
  switch (N) {
    case 16: run<16>(in, n, state, y, measures, threads); return 0;
    case 32: run<32>(in, n, state, y, measures, threads); return 0;
    case 64: run<64>(in, n, state, y, measures, threads); return 0;
    case 128: run<128>(in, n, state, y, measures, threads); return 0;
    default: return 1;
  }
}
}
