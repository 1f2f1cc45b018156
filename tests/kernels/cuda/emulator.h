// Plays a GPU on the host, so that kernels/cuda can be compiled and run without one. Every thread
// of a block is a fiber that runs until it must wait for others; blocks run one after the other.
//
// What a GPU forgives or hides is an error here: a barrier that not all threads reach, more shared
// memory than every GPU has, shared memory read before it is written (it begins as NaN). Threads
// take turns in an order that can be chosen: a missing barrier shows as results that depend on it.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

constexpr size_t kStack = 256 << 10, kSharedLimit = 48 << 10, kWarpLanes = 32;

// A place where threads wait for each other.
struct Barrier {
  unsigned arrived = 0, round = 0;
};

// Where a fiber, or the scheduler, goes on. A jump needs no call of the system as a change of
// context does; sanitizers do not follow it from stack to stack, though.
struct Place {
  ucontext_t context;
  jmp_buf jump;
  bool has_begun = true;
};

inline void leave(Place& from, Place& to) {
#if defined(__SANITIZE_ADDRESS__)
  swapcontext(&from.context, &to.context);
#else
  if (_setjmp(from.jump)) return;
  if (to.has_begun) _longjmp(to.jump, 1);
  to.has_begun = true;
  setcontext(&to.context);
#endif
}

struct Fiber : Place {
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool is_done = false;
  const unsigned* waits_for = nullptr;  // a barrier's round, to become another than `round`
  unsigned round = 0;
};

struct Warp {
  Barrier barrier;
  uint64_t slots[2][kWarpLanes];
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  Place scheduler;
  unsigned current = 0;
  std::map<const void*, std::unique_ptr<char, decltype(&std::free)>> shared;
  size_t shared_bytes = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
  const char* error = nullptr;
};

inline Block block;

inline void wait_at(Barrier& barrier, unsigned count) {
  Fiber& me = block.fibers[block.current];
  if (++barrier.arrived == count) {
    barrier.arrived = 0;
    ++barrier.round;
    return;
  }
  me.waits_for = &barrier.round;
  me.round = barrier.round;
  leave(me, block.scheduler);
  me.waits_for = nullptr;
}

inline void enter() {
  block.body(block.argument);
  block.fibers[block.current].is_done = true;
  leave(block.fibers[block.current], block.scheduler);
}

// The i-th of n in the chosen order: 0 ascending, 1 descending, 2 mixed; 3 is ascending too, but a
// warp goes on until it waits for others, so that it is ahead of them by as much as can be.
inline unsigned place(unsigned i, unsigned n, int order) {
  if (order == 0 || order == 3) return i;
  if (order == 1) return n - 1 - i;
  return (unsigned)((i * 7919ull + 13) % n);  // 7919 is a prime above every n here
}

inline void run_block(int order) {
  const unsigned n = blockDim.x;
  block.fibers.resize(n);
  block.warps.assign((n + kWarpLanes - 1) / kWarpLanes, Warp{});
  block.barrier = {};
  for (Fiber& fiber : block.fibers) {
    fiber.is_done = fiber.has_begun = false;
    fiber.waits_for = nullptr;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
  const unsigned group = order == 3 && n > kWarpLanes ? kWarpLanes : n;
  for (unsigned left = n, first = 0, idle = 0; left && !block.error;) {
    bool has_moved = false;
    for (unsigned i = first; i < first + group && i < n && !block.error; ++i) {
      block.current = place(i, n, order);
      Fiber& fiber = block.fibers[block.current];
      if (fiber.is_done || (fiber.waits_for && *fiber.waits_for == fiber.round)) continue;
      threadIdx = dim3{block.current};
      has_moved = true;
      leave(block.scheduler, fiber);
      left -= fiber.is_done;
    }
    if (has_moved) {
      idle = 0;
      continue;
    }
    idle += group;
    first = first + group < n ? first + group : 0;
    if (idle >= n) block.error = "threads wait at a barrier that the others never reach";
  }
  block.shared.clear();
  block.shared_bytes = 0;
}

inline void fail(const char* message) {
  block.error = message;
  leave(block.fibers[block.current], block.scheduler);
}

inline void* shared_array(const void* key, size_t bytes) {
  auto found = block.shared.find(key);
  if (found == block.shared.end()) {
    block.shared_bytes += bytes;
    if (block.shared_bytes > kSharedLimit) fail("more shared memory than a block may have");
    char* memory = (char*)std::aligned_alloc(16, (bytes + 15) / 16 * 16);
    std::memset(memory, 0xff, bytes);
    found = block.shared.emplace(key, decltype(found->second){memory, &std::free}).first;
  }
  return found->second.get();
}

// What lane `from` of this thread's warp gives; lanes beyond the last give their own.
template <class T>
inline T exchange(unsigned mask, T value, unsigned from) {
  static_assert(sizeof(T) <= 8);
  if (mask != 0xffffffffu || blockDim.x % kWarpLanes) fail("a part of a warp exchanges values");
  const unsigned lane = block.current % kWarpLanes;
  Warp& warp = block.warps[block.current / kWarpLanes];
  uint64_t* slots = warp.slots[warp.barrier.round % 2];
  std::memcpy(&slots[lane], &value, sizeof(T));
  wait_at(warp.barrier, kWarpLanes);
  std::memcpy(&value, &slots[from % kWarpLanes], sizeof(T));
  return value;
}

// What every lane of this thread's warp gives.
inline void gather(uint64_t value, uint64_t (&all)[kWarpLanes]) {
  // The slots stay as they are until every lane has met the next exchange.
  Warp& warp = block.warps[block.current / kWarpLanes];
  const unsigned round = warp.barrier.round % 2;
  exchange(0xffffffffu, value, 0);
  std::memcpy(all, warp.slots[round], sizeof(all));
}

template <class... A, size_t... I>
inline void call(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
  kernel(*(std::remove_const_t<A>*)values[I]...);
}

using Caller = void (*)(void** values);

inline std::map<std::string, Caller> kernels;

template <auto kernel>
struct Registered;

template <class... A, void (*kernel)(A...)>
struct Registered<kernel> {
  static void run(void** values) { call(kernel, values, std::index_sequence_for<A...>{}); }
};

}  // namespace emulator

#define SHARED(type, name, count)        \
  static const char name##_key = 0;      \
  type* const name = (type*)emulator::shared_array(&name##_key, sizeof(type) * (count))

#define EMULATE(name) \
  static const bool name##_is_known = (emulator::kernels[#name] = emulator::Registered<name>::run, true);

inline void __syncthreads() { emulator::wait_at(emulator::block.barrier, blockDim.x); }
inline void __syncwarp() {
  emulator::wait_at(emulator::block.warps[emulator::block.current / 32].barrier, 32);
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return emulator::exchange(mask, value, emulator::block.current % 32 ^ lanes);
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane) {
  return emulator::exchange(mask, value, lane);
}
inline unsigned __ballot_sync(unsigned mask, int is_true) {
  if (mask != 0xffffffffu) emulator::fail("a part of a warp votes");
  uint64_t votes[32];
  emulator::gather(is_true != 0, votes);
  unsigned all = 0;
  for (int lane = 0; lane < 32; ++lane) all |= (unsigned)votes[lane] << lane;
  return all;
}
inline void __threadfence() {}
inline unsigned atomicAdd(unsigned* to, unsigned more) {
  const unsigned before = *to;
  *to += more;
  return before;
}

template <class To, class From>
inline To bits_of(From x) {
  To y;
  std::memcpy(&y, &x, sizeof(y));
  return y;
}
inline unsigned __float_as_uint(float x) { return bits_of<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return bits_of<float>(x); }
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned places) {
  const uint64_t bytes = (uint64_t)high << 32 | low;
  unsigned made = 0;
  for (int i = 0; i < 4; ++i) made |= (unsigned)(bytes >> (places >> 4 * i & 7) * 8 & 255) << 8 * i;
  return made;
}
inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }

namespace emulator {

// mma.m16n8k8 of tf32: each lane gives and gets its elements as the instruction's manual has them.
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  uint64_t given[3][kWarpLanes];
  gather((uint64_t)a[1] << 32 | a[0], given[0]);
  gather((uint64_t)a[3] << 32 | a[2], given[1]);
  gather((uint64_t)b[1] << 32 | b[0], given[2]);
  // Of floats the last 13 bits are not seen.
  const auto part = [&](int which, int lane, int half) {
    return __uint_as_float((unsigned)(given[which][lane] >> 32 * half) & 0xffffe000u);
  };
  const int lane = block.current % kWarpLanes;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4, is_low = i / 2, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 8; ++k)
      d[i] += part(k / 4, row * 4 + k % 4, is_low) * part(2, column * 4 + k % 4, k / 4);
  }
}

}  // namespace emulator

// What the driver of driver.cpp finds in a compiled file; returns an error's words, or null.
extern "C" __attribute__((visibility("default"))) const char* emulated_launch(const char* name, unsigned grid_x, unsigned grid_y,
                                              unsigned grid_z, unsigned threads, void** values,
                                              int order) {
  using namespace emulator;
  const auto found = kernels.find(name);
  if (found == kernels.end()) return "no such kernel";
  if (threads == 0 || threads > 1024) return "a block has 1 to 1024 threads";
  gridDim = dim3{grid_x, grid_y, grid_z};
  blockDim = dim3{threads};
  block.error = nullptr;
  const std::pair<Caller, void**> work{found->second, values};
  block.argument = (void*)&work;
  block.body = [](void* argument) {
    const auto& work = *(const std::pair<Caller, void**>*)argument;
    work.first(work.second);
  };
  const unsigned blocks = grid_x * grid_y * grid_z;
  for (unsigned i = 0; i < blocks && !block.error; ++i) {
    const unsigned at = order == 1 ? blocks - 1 - i : i;
    blockIdx = dim3{at % grid_x, at / grid_x % grid_y, at / grid_x / grid_y};
    run_block(order);
  }
  return block.error;
}
