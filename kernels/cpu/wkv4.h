// One token of RWKV-4's recurrence for as many channels as a vector holds; see wkv4.cpp.
#pragma once

#include "vec.h"

struct Wkv4Memory {
  Vec a, b, p;  // numerator, denominator, largest exponent

  // Reads one token into the memory and returns y.
  Vec step(Vec w, Vec u, Vec k, Vec v) {
    Vec q = larger(p, u + k);
    Vec old = exp_nonpositive(p - q), now = exp_nonpositive(u + k - q);
    const Vec y = (old * a + now * v) / (old * b + now);
    q = larger(p + w, k);
    old = exp_nonpositive(p + w - q), now = exp_nonpositive(k - q);
    a = old * a + now * v;
    b = old * b + now;
    p = q;
    return y;
  }
};
