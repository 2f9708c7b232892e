// Fibers: stacks among which one host thread switches.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace adjudge::simt {

struct Fiber;

class Fibers {
 public:
  Fibers();
  ~Fibers();

  Fiber* take();
  // Also where it did not end: what lives on its stack is forgotten.
  void put_back(Fiber* fiber);
  // Runs body(argument) until it leaves or ends.
  void start(Fiber& fiber, void (*body)(void*), void* argument);
  // Goes on where it left.
  void enter(Fiber& fiber);
  // Called on the fiber: back to who started or entered it.
  void leave(Fiber& fiber);

 private:
  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber*> free_;
};

}  // namespace adjudge::simt
