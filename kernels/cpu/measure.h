// What the inspector asks of one token's step.
#pragma once

#include "vec.h"

// Squares of the new state, of the change made to it, and of the three parts of that change,
// summed over a head. With S before the token, change = write - fade - erase.
struct Measure {
  static constexpr int kCount = 5;
  Vec state{}, change{}, fade{}, erase{}, write{};

  void add(Vec old, Vec now, Vec faded, Vec erased, Vec written) {
    state += now * now;
    change += (now - old) * (now - old);
    fade += faded * faded;
    erase += erased * erased;
    write += written * written;
  }

  void store(float* to) const {
    to[0] = sum(state), to[1] = sum(change), to[2] = sum(fade), to[3] = sum(erase);
    to[4] = sum(write);
  }
};
