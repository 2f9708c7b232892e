#include "cuda/simt_fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__x86_64__) && !defined(ADJUDGE_SIMT_UCONTEXT)
#define ADJUDGE_SIMT_SWITCH
#else
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace adjudge::simt {
namespace {
constexpr std::size_t stack_bytes = 128 * 1024;
}  // namespace

#ifdef ADJUDGE_SIMT_SWITCH
// Saves what a function must preserve (System V ABI; kernels do not change the floating-point modes), and
// continues on the other stack. An order of magnitude faster than swapcontext, which calls the kernel for the
// signal mask.
extern "C" void adjudge_simt_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
  .text
  .p2align 4
  .hidden adjudge_simt_switch
  .globl adjudge_simt_switch
  .type adjudge_simt_switch,@function
adjudge_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size adjudge_simt_switch,.-adjudge_simt_switch
)");
#endif

struct Fiber {
  void* stack = nullptr;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
  bool ended = false;
#ifdef ADJUDGE_SIMT_SWITCH
  void* own = nullptr;  // stack pointers of who does not run
  void* caller = nullptr;
#else
  ucontext_t own, caller;
#endif
#ifdef __SANITIZE_ADDRESS__
  // What the sanitizer wants to know of a change of stacks.
  void* own_fake = nullptr;
  const void* caller_stack = nullptr;
  std::size_t caller_bytes = 0;
#endif

  void to_fiber() {
#ifdef __SANITIZE_ADDRESS__
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack, stack_bytes);
#endif
#ifdef ADJUDGE_SIMT_SWITCH
    adjudge_simt_switch(&caller, own);
#else
    swapcontext(&caller, &own);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }

  void to_caller() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(ended ? nullptr : &own_fake, caller_stack, caller_bytes);
#endif
#ifdef ADJUDGE_SIMT_SWITCH
    adjudge_simt_switch(&own, caller);
#else
    swapcontext(&own, &caller);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(own_fake, &caller_stack, &caller_bytes);
#endif
  }
};

namespace {

// Where the switch to a fresh stack returns to; how a fiber finds itself.
thread_local Fiber* starting = nullptr;

[[noreturn]] void begin() {
  Fiber& fiber = *starting;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &fiber.caller_stack, &fiber.caller_bytes);
#endif
  fiber.body(fiber.argument);
  fiber.ended = true;
  fiber.to_caller();
  __builtin_unreachable();
}

}  // namespace

Fibers::Fibers() = default;

Fibers::~Fibers() {
  for (const auto& fiber : all_) munmap(fiber->stack, stack_bytes);
}

Fiber* Fibers::take() {
  if (free_.empty()) {
    void* stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    all_.push_back(std::make_unique<Fiber>());
    all_.back()->stack = stack;
    free_.push_back(all_.back().get());
  }
  Fiber* fiber = free_.back();
  free_.pop_back();
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(fiber->stack, stack_bytes);
#endif
  return fiber;
}

void Fibers::put_back(Fiber* fiber) { free_.push_back(fiber); }

void Fibers::start(Fiber& fiber, void (*body)(void*), void* argument) {
  fiber.body = body;
  fiber.argument = argument;
  fiber.ended = false;
#ifdef ADJUDGE_SIMT_SWITCH
  // Six registers and the address to return to; above them a zero where begin's caller would be.
  auto** top = reinterpret_cast<void**>(static_cast<char*>(fiber.stack) + stack_bytes) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(&begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.own = top;
#else
  getcontext(&fiber.own);
  fiber.own.uc_stack.ss_sp = fiber.stack;
  fiber.own.uc_stack.ss_size = stack_bytes;
  fiber.own.uc_link = nullptr;
  makecontext(&fiber.own, &begin, 0);
#endif
  starting = &fiber;
  fiber.to_fiber();
}

void Fibers::enter(Fiber& fiber) { fiber.to_fiber(); }

void Fibers::leave(Fiber& fiber) { fiber.to_caller(); }

}  // namespace adjudge::simt
