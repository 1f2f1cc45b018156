// What a plan is made of, as kernels/plan_parts.py and kernels/program.py lay it out.
#pragma once

#include <cstdint>

// The numbers are those of KINDS in kernels/plan_parts.py; kernels/plan.py says what each step reads.
enum Kind : int64_t {
  kEmbed, kLayerNorm, kShift, kMix, kProduct, kAffine, kMultiply, kLerp, kNormalize, kGroupNorm,
  kBonus, kWkv7, kWkv6, kWkv4, kNonzero, kRowProduct, kRound
};
enum Space : int64_t { kRowsSpace, kProducts, kBlocks };
enum Logits : int64_t { kNoLogits, kLastLogits, kAllLogits };

struct Slot {
  // offset: floats in front of it in a row, or ~floats in a thread's room; start: of a part
  int64_t offset, start, ld, size;
};

struct Step {
  int64_t kind, out, in[6];
  const void* data[3];
  int64_t number[4];
  double value;
  int64_t tail;  // how many of the last tokens are needed if only the last logits are; 0: all
};

struct Phase {
  int64_t space, first, count, chunks_of;  // chunks_of: panels, or channels of a block
  int64_t tail;  // of all its steps
};

struct Plan {
  const Slot* slots;
  const Step* steps;
  const Phase* phases;
  int64_t n_phases, channels, head_size, wkv_size;  // wkv_size: of one layer and conversation
};

struct Run {
  int64_t B, T, logits_kind;
  const int64_t* ids;
  const float *shift_before[2], *wkv_before;
  float *shift_after[2], *wkv_after;
  float *logits, *arena;
  int64_t is_finite;  // said of the logits afterwards
};
