// Runs a plan: a flat list of steps, made once from a model, that turns token ids and states into
// logits and new states in one call. It knows steps, not models. Steps are grouped into phases,
// of three kinds: steps on whole rows (tokens); products, panel by panel; steps on blocks of
// channels, where a block's steps need nothing from other blocks of the same phase.
// No torch headers: this builds in seconds.

#include "blocks.h"
#include "pack.h"
#include "plan.h"
#include "single.h"
#include "steps.h"

namespace {

// Rows (tokens) of a chunk: what one step writes should still be in the cache for the next one.
constexpr int64_t kChunkRows = 8;
constexpr int64_t kFetchedTokens = 8;
constexpr int64_t kWrittenAhead = 12;  // tokens
constexpr int64_t kSharedTokens = 96;  // more are shared out

class PlanJob : public Job {
 public:
  PlanJob(const Plan& plan, const Run& run, int64_t threads)
      : plan_(plan), run_(run), threads_(threads), M_(run.B * run.T),
        is_tail_enough_(run.B == 1 && run.logits_kind != kAllLogits) {}

  bool is_finite() const { return is_finite_; }

  int64_t phases() const override { return plan_.n_phases; }

  int64_t chunks(int64_t phase) const override {
    const Phase& p = plan_.phases[phase];
    if (p.count == 0) return 0;
    const int64_t tokens = M_ - begin_of(p.tail);
    if (p.space == kRowsSpace) return ceil_div(tokens, rows_of_chunk(tokens));
    if (p.space == kProducts) return shares(p) * ceil_div(p.chunks_of, panels_of_chunk(p));
    return ceil_div(plan_.channels, p.chunks_of);
  }

  void run(int64_t phase, int64_t chunk, Scratch& scratch) override {
    const Phase& p = plan_.phases[phase];
    const Step *begin = plan_.steps + p.first, *end = begin + p.count;
    const int64_t from = begin_of(p.tail), tokens = M_ - from;
    if (p.space == kRowsSpace) {
      const int64_t some = rows_of_chunk(tokens), first = from + chunk * some;
      const int64_t last = std::min(M_, first + some);
      for (const Step* s = begin; s != end; ++s)
        step(*s, Range{first, last, 0, plan_.slots[s->out].size}, scratch);
    } else if (p.space == kProducts) {
      const int64_t count = panels_of_chunk(p), chunks_of_share = ceil_div(p.chunks_of, count);
      const int64_t share = chunk / chunks_of_share, n = shares(p);
      const Range some{from + share * tokens / n, from + (share + 1) * tokens / n, 0, 0};
      chunk %= chunks_of_share;
      const int64_t last = std::min(p.chunks_of, (chunk + 1) * count);
      int64_t before = 0;
      for (const Step* s = begin; s != end; ++s) {
        const Matrix m = matrix(*s);
        for (int64_t i = std::max(chunk * count, before); i < std::min(last, before + m.panels()); ++i)
          product(*s, m, rows(s->in[3]), i - before, some, scratch);
        before += m.panels();
      }
    } else {
      const int64_t first = chunk * p.chunks_of, last = std::min(plan_.channels, first + p.chunks_of);
      for (int64_t row = from; row < M_; row += kBlockRows)
        for (const Step* s = begin; s != end; ++s)
          step(*s, Range{row, std::min(M_, row + kBlockRows), first, last}, scratch);
    }
  }

  // Where a thread's share of the next products begins. For many tokens weights are not what
  // takes the time.
  const uint8_t* ahead(int64_t phase, int64_t thread) const override {
    while (++phase < plan_.n_phases && plan_.phases[phase].space != kProducts) {
    }
    if (M_ > kFetchedTokens || phase == plan_.n_phases) return nullptr;
    const Phase& p = plan_.phases[phase];
    return panel_at(p, share_begin(thread, chunks(phase), threads_) * panels_of_chunk(p));
  }

 private:
  // The first token whose numbers somebody needs.
  int64_t begin_of(int64_t tail) const {
    return tail && is_tail_enough_ ? std::max<int64_t>(0, M_ - tail) : 0;
  }

  int64_t rows_of_chunk(int64_t tokens) const {
    return std::min(kChunkRows, ceil_div(tokens, 4 * threads_));
  }

  // Every thread multiplies tokens of its own if they are many: those whose inputs it made, and whose
  // results it will read. Threads might not share a cache.
  int64_t shares(const Phase& p) const {
    const bool are_logits = plan_.steps[p.first].out < 0;
    const int64_t tokens = M_ - begin_of(p.tail);
    return are_logits ? 1 : std::clamp<int64_t>(tokens / kSharedTokens, 1, threads_);
  }

  // A sixteenth of a thread's share: late threads lose little.
  int64_t panels_of_chunk(const Phase& p) const { return ceil_div(p.chunks_of, 16 * threads_); }

  // Where some panel of a phase's products begins, counted through all of them.
  const uint8_t* panel_at(const Phase& p, int64_t panel) const {
    for (int64_t i = 0; i < p.count; ++i) {
      const Matrix m = matrix(plan_.steps[p.first + i]);
      if (panel < m.panels()) return m.data + panel * m.stride();
      panel -= m.panels();
    }
    return nullptr;
  }

  Rows rows(int64_t slot) const {
    if (slot < 0) return Rows{};
    const Slot& s = plan_.slots[slot];
    return Rows{run_.arena + s.offset + s.start, s.ld, s.size};
  }

  // The same for steps of a chunk: what only they see lies in the thread's room.
  Rows rows(int64_t slot, const Range& r, Scratch& scratch) const {
    if (slot < 0 || plan_.slots[slot].offset >= 0) return rows(slot);
    const Slot& s = plan_.slots[slot];
    return Rows{scratch.room + ~s.offset - r.first_row * s.ld - r.first, s.ld, s.size};
  }

  static const float* floats(const Step& s, int i) { return (const float*)s.data[i]; }

  static Matrix matrix(const Step& s) {
    return Matrix{(const uint8_t*)s.data[0], s.number[0], s.number[1], s.number[2] & 15};
  }

  Memory memory(int64_t layer) const {
    const int64_t at = layer * run_.B * plan_.wkv_size;
    return Memory{run_.wkv_before + at, run_.wkv_after + at};
  }

  void step(const Step& s, const Range& chunk, Scratch& scratch) {
    const Rows out = rows(s.out, chunk, scratch);
    Rows in[6];
    for (int i = 0; i < 6; ++i) in[i] = rows(s.in[i], chunk, scratch);
    Range r = chunk;
    r.first_row = std::max(r.first_row, begin_of(s.tail));
    const Rows &a = in[0], &b = in[1], &c = in[2];
    const float *p = floats(s, 0), *q = floats(s, 1);
    switch (s.kind) {
      case kEmbed: embed(s, r, out); break;
      case kLayerNorm: layer_norm(r, out, a, p, q, s.value); break;
      case kShift: shift(s, r, out, a, b); break;
      case kMix:  // a + b (p + c)
        map(r, out, [&](int64_t row, int64_t i) {
          const Vec share = c.data ? load(p + i) + load(c[row] + i) : load(p + i);
          return load(a[row] + i) + load(b[row] + i) * share;
        });
        break;
      case kProduct:
        for (int64_t panel = r.first / kRows; panel * kRows < r.last; ++panel)
          product(s, matrix(s), rows(s.in[3]), panel, chunk, scratch);
        break;
      case kAffine:  // value activation(a p + q)
        map(r, out, [&](int64_t row, int64_t i) {
          Vec x = load(a[row] + i);
          if (p) x *= load(p + i);
          if (q) x += load(q + i);
          return activate(s.number[0], x) * (float)s.value;
        });
        break;
      case kMultiply:
        map(r, out, [&](int64_t row, int64_t i) { return load(a[row] + i) * load(b[row] + i); });
        break;
      case kLerp:  // from a to b by c
        map(r, out, [&](int64_t row, int64_t i) {
          const Vec from = load(a[row] + i);
          return from + (load(b[row] + i) - from) * load(c[row] + i);
        });
        break;
      case kNormalize: normalize(r, out, a, plan_.head_size); break;
      case kGroupNorm: group_norm(r, out, a, p, q, s.value, plan_.head_size); break;
      case kBonus: add_bonus(r, out, a, b, c, in[3], p, plan_.head_size); break;
      case kWkv7:
        with_head_size(plan_.head_size, [&](auto N) {
          wkv7<N>(r, run_.T, plan_.channels, memory(s.number[0]), out, in);
        });
        break;
      case kWkv6:
        with_head_size(plan_.head_size, [&](auto N) {
          wkv6<N>(r, run_.T, plan_.channels, memory(s.number[0]), out, in, p, q);
        });
        break;
      case kWkv4: wkv4(r, run_.T, plan_.channels, memory(s.number[0]), out, a, b, p, q); break;
      case kNonzero: nonzero(s, out, a); break;
      case kRowProduct: row_product(r, out, a, b); break;
      case kRound:  // number: format and columns of what will read it; whether by blocks
        round_rows(s.number[2] ? r : Range{r.first_row, r.last_row, 0, s.number[1]}, out, a, s.number[0]);
        break;
    }
  }

  // out = the table's row of each token; number: type (Format) and width of the table, and the kind of
  // its blocks if it has those instead.
  void embed(const Step& s, const Range& r, const Rows& out) const {
    const int64_t width = s.number[1];
    if (const BlockType type = BlockType::of(s.number[2]); type.bytes) {
      const int64_t count = width / type.numbers;
      for (int64_t row = r.first_row; row < r.last_row; ++row) {
        const uint8_t* from = (const uint8_t*)s.data[0] + run_.ids[row] * count * type.bytes;
        for (int64_t i = 0; i < count; ++i) type.unpack(from + i * type.bytes, out[row] + i * type.numbers);
      }
      return;
    }
    for (int64_t row = r.first_row; row < r.last_row; ++row) {
      const int64_t at = run_.ids[row] * width;
      float* to = out[row];
      if (s.number[0] == kFloat32) {
        std::memcpy(to, (const float*)s.data[0] + at, 4 * width);
      } else {
        const uint8_t* from = (const uint8_t*)s.data[0] + 2 * at;
        for (int64_t c = 0; c < width; c += kLanes) {
          uint8_t part[2 * kLanes] = {};
          std::memcpy(part, from + 2 * c, 2 * std::min<int64_t>(kLanes, width - c));
          store(to + c, s.number[0] == kFloat16
                            ? load_fp16(part)
                            : as_floats(__builtin_convertvector(load_as<HalfVec>(part), IntVec) << 16));
        }
      }
    }
  }

  // out = the token before - a. number: layer, and which of the two shifts of the state. x: what a is
  // the norm of, if the token before a range is another thread's.
  void shift(const Step& s, const Range& r, const Rows& out, const Rows& a, const Rows& x) const {
    const int64_t C = plan_.channels, layer = s.number[0], which = s.number[1];
    for (int64_t row = r.first_row; row < r.last_row; ++row) {
      const int64_t b = row / run_.T, t = row % run_.T, at = (layer * run_.B + b) * C;
      const float* before = t ? a[row - 1] : run_.shift_before[which] + at;
      if (t && x.data && row == r.first_row) {
        const Rows here{out.data + out.ld, out.ld, out.size};
        layer_norm(Range{row - 1, row, 0, C}, here, x, floats(s, 0), floats(s, 1), s.value);
        before = out[row];
      }
      for (int64_t c = 0; c < C; c += kLanes)
        store(out[row] + c, load_part(before + c, C - c) - load(a[row] + c));
      if (t == run_.T - 1) std::memcpy(run_.shift_after[which] + at, a[row], sizeof(float) * C);
    }
  }

  // The channels of one token that are not zero: their count, then their numbers. number: percent
  // from which on there is no list, its count being -1.
  void nonzero(const Step& s, const Rows& out, const Rows& a) const {
    if (M_ != 1) return;
    const auto lanes_at = [&](int64_t c) { return nonzero_lanes(load_part(a.data + c, a.size - c)); };
    int32_t *list = (int32_t*)out.data, count = 0;
    for (int64_t c = 0; c < a.size; c += kLanes) count += __builtin_popcount(lanes_at(c));
    list[0] = count * 100 < a.size * s.number[0] ? count : -1;
    if (list[0] < 0) return;
    count = 0;
    for (int64_t c = 0; c < a.size; c += kLanes)
      for (uint32_t lanes = lanes_at(c); lanes; lanes &= lanes - 1)
        list[1 + count++] = c + __builtin_ctz(lanes);
    // Products look a few numbers ahead.
    for (int i = 0; i < SomeColumns::kRoom; ++i) list[1 + count + i] = count ? list[count] : 0;
  }

  // One panel for the tokens of a range, which is what a block's values belong to. in: x; factor of
  // the result, list of columns and rounded x, or none; what the result is rounded to, instead of
  // itself unless there is one token. number: rows, columns, format + 16 if added to out + 32 times
  // the format of what will read the result, activation. Without out: the logits.
  void product(const Step& s, const Matrix& m, Rows rounded, int64_t panel, const Range& chunk,
               Scratch& scratch) {
    Rows x = rows(s.in[0]), out = rows(s.out, chunk, scratch);
    const Rows factor = rows(s.in[1], chunk, scratch), list = rows(s.in[2]);
    int64_t last_row = chunk.last_row;
    if (s.out < 0) {
      if (run_.logits_kind == kNoLogits) return;
      out = Rows{run_.logits, m.rows, m.rows};
      if (run_.logits_kind == kLastLogits) {
        for (Rows* rows : {&x, &rounded})
          if (rows->data) *rows = Rows{(*rows)[run_.T - 1], rows->ld * run_.T, rows->size};
        last_row = run_.B;
      }
    }
    const Rows made = rows(s.in[4]);
    const SomeColumns some{(const int32_t*)list.data + 1, list.data ? ((int32_t*)list.data)[0] : 0};
    const bool is_sparse = list.data && M_ == 1 && some.count >= 0;
    const int64_t first = panel * kRows, last = std::min(m.rows, first + kRows);
    Vec nothing{};  // NaN where a result is NaN or infinite
    const int64_t first_row = std::max(chunk.first_row, begin_of(s.tail));
    for (int64_t row = first_row; row < last_row; row += kMaxTokens) {
      const int64_t tokens = std::min<int64_t>(kMaxTokens, last_row - row);
      const Inputs inputs{x[row], x.ld, rounded.data ? rounded[row] : nullptr, rounded.ld};
      multiply_panel(m, panel, inputs, tokens, is_sparse ? &some : nullptr, scratch);
      for (int64_t t = 0; t < tokens; ++t) {
        float *y = scratch.y + t * kRows, *to = made.data && M_ > 1 ? y : out[row + t] + first;
        // Rows lie far apart, so the processor does not see coming where the next one is written.
        if (to != y) {
          const float* ahead = out[row + std::min(t + kWrittenAhead, tokens - 1)];
          for (int64_t c = first; c < last; c += 16) __builtin_prefetch(ahead + c, 1);
        }
        for (int64_t c = 0; c < last - first; c += kLanes) {
          Vec result = activate(s.number[3], load(y + c));
          if (factor.data) result *= load(factor[row + t] + first + c);
          if (s.number[2] & 16) result += load_part(to + c, last - first - c);
          store_part(to + c, result, last - first - c);
          nothing += result - result;
        }
        if (made.data) {
          const int64_t format = s.number[2] >> 5;
          round_inputs(format, to, last - first, made[row + t] + rounded_at(format, first));
        }
      }
    }
    if (s.out < 0 && sum(nothing) != 0) is_finite_ = false;
  }

  const Plan& plan_;
  const Run& run_;
  const int64_t threads_, M_;
  const bool is_tail_enough_;
  std::atomic<bool> is_finite_{true};
};

}  // namespace

extern "C" {

const char* processor_vectors() { return kVectors; }

void* pool_create(int threads) { return new Pool(threads); }

extern const int64_t plan_room_floats = kRoomFloats, plan_rows_of_chunk = kChunkRows,
                     plan_rows_of_block = kBlockRows;

int64_t packed_bytes(int64_t format, int64_t rows, int64_t columns) {
  return Matrix{nullptr, rows, columns, format}.bytes();
}

// Of these, what a product of one token reads; the rest is room for strays.
int64_t packed_panel_bytes(int64_t format, int64_t rows, int64_t columns) {
  const Matrix m{nullptr, rows, columns, format};
  return m.panels() * m.stride();
}

int64_t packed_rounding(int64_t format) { return rounding(format); }

int64_t packed_most_nonzero(int64_t format) { return most_nonzero(format); }

int64_t packed_rounded_floats(int64_t format, int64_t columns) {
  return rounded_floats(format, columns);
}

// Packs some rows of a matrix, of `rows` in all, the first of which begins a panel; see Source. Returns
// whether the format can hold them.
bool packed_pack(void* pool, int64_t format, uint8_t* to, int64_t rows, int64_t first,
                 const void* values, int64_t type, int64_t count, int64_t columns, int64_t row_stride,
                 int64_t column_stride) {
  PackJob job(Matrix{to, rows, columns, format},
              Source{values, type, count, columns, row_stride, column_stride}, first);
  ((Pool*)pool)->run(job);
  return job.fits();
}

// What blocks of GGUF's type `kind` take and hold, 0 where it is not known here.
int64_t blocks_bytes(int64_t kind) { return BlockType::of(kind).bytes; }

int64_t blocks_numbers(int64_t kind) { return BlockType::of(kind).numbers; }

void blocks_unpack(void* pool, int64_t kind, const uint8_t* from, int64_t count, float* to) {
  UnpackJob job(BlockType::of(kind), from, count, to);
  ((Pool*)pool)->run(job);
}

// y (tokens, rows) = x (tokens, columns) · matrix', both float32 and contiguous.
void packed_product(void* pool, int64_t format, const uint8_t* data, int64_t rows, int64_t columns,
                    const float* x, float* y, int64_t tokens) {
  Pool& threads = *(Pool*)pool;
  ProductJob job(Matrix{data, rows, columns, format}, x, y, tokens, threads.threads());
  threads.run(job);
}

void memory_read(void* pool, const uint8_t* data, int64_t bytes) {
  Pool& threads = *(Pool*)pool;
  ReadJob job(data, bytes, threads.threads());
  threads.run(job);
}

// Returns how many multiplications that were.
int64_t registers_multiply(void* pool, int64_t format) {
  Pool& threads = *(Pool*)pool;
  RegistersJob job(format, threads.threads());
  threads.run(job);
  return job.multiplications();
}

void plan_run(void* pool, const Plan* plan, Run* run) {
  Pool& threads = *(Pool*)pool;
  PlanJob job(*plan, *run, threads.threads());
  threads.run(job);
  run->is_finite = job.is_finite();
}
}
