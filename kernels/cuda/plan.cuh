// A plan as kernels/plan.py records it, and the values of a run. The structures are those of
// kernels/cpu/plan.cpp. Rows of values are tokens: T of the first conversation, then of the next.
#pragma once

#include "device.cuh"

// As in kernels/plan.py, which also says what each step reads.
enum Kind : int64 {
  kEmbed, kLayerNorm, kShift, kMix, kProduct, kAffine, kMultiply, kLerp, kNormalize, kGroupNorm,
  kBonus, kWkv7, kWkv6, kWkv4, kNonzero, kRowProduct
};
enum Activation : int64 { kNone, kSigmoid, kTanh, kExp, kSilu, kSquaredRelu };

struct Slot {
  int64 offset, start, ld, size;  // offset: floats for each row of the run; start: of a part
};

struct Step {
  int64 kind, out, in[6];
  const void* data[3];
  int64 number[4];
  double value;
  int64 tail;  // of CPUs
};

// What changes from run to run lies in the GPU's memory, so that a recorded graph of launches
// serves every run: also its pointers.
struct Run {
  int64 B, T;  // conversations and tokens of each; the arena may have room for more
  const int64* ids;
  const float *shift_before[2], *wkv_before;
  float *shift_after[2], *wkv_after, *logits;
};

// Passed to every kernel. rows: for which the arena has room. wkv_size: of one layer and
// conversation.
struct Plan {
  const Slot* slots;
  const Step* steps;
  const Run* run;
  float* arena;
  int64 rows, channels, wkv_size;
};

// One value: a row of floats for each conversation.
struct Rows {
  float* data = nullptr;
  int64 ld = 0, size = 0;
  __device__ __forceinline__ float* operator[](int64 row) const { return data + row * ld; }
};

__device__ __forceinline__ Rows rows_of(const Plan& plan, int64 slot) {
  if (slot < 0) return Rows{};
  const Slot s = plan.slots[slot];
  return Rows{plan.arena + s.offset * plan.rows + s.start, s.ld, s.size};
}

__device__ __forceinline__ const float* floats(const Step& s, int i) {
  return (const float*)s.data[i];
}

__device__ __forceinline__ float activate(int64 activation, float x) {
  switch (activation) {
    case kSigmoid: return 1 / (1 + expf(-x));
    case kTanh: return tanhf(x);
    case kExp: return expf(x);
    case kSilu: return x / (1 + expf(-x));
    case kSquaredRelu: return x < 0 ? 0 : x * x;  // NaN stays
    default: return x;
  }
}
