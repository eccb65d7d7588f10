#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

namespace metalsim {

namespace {

char *stacks() {
  static char *base = [] {
    void *p = mmap(nullptr, kMaxThreads * kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return (char *)nullptr;
    // A page at each end that stops an overflow.
    for (unsigned i = 0; i < kMaxThreads; i++) mprotect((char *)p + i * kStackSize, 4096, PROT_NONE);
    return (char *)p;
  }();
  return base;
}

}  // namespace

bool is_stack(const void *p) { return (const char *)p >= stacks() && (const char *)p < stacks() + kMaxThreads * kStackSize; }

void *prepare_stack(unsigned index, void (*entry)()) {
  char *top = stacks() + (index + 1) * kStackSize;
  // Stacks that all start at the same offset in a page would share a few cache sets.
  uintptr_t sp = (uintptr_t)top - 64 - (index % 61) * 320;
  sp &= ~(uintptr_t)63;
  void **s = (void **)sp;
#if defined(__x86_64__)
  *--s = nullptr;              // the alignment a call would leave, and an end for unwinders
  *--s = (void *)entry;
  for (int i = 0; i < 6; i++) *--s = nullptr;
#elif defined(__aarch64__)
  s -= 20;
  std::memset(s, 0, 20 * sizeof *s);
  s[11] = (void *)entry;       // x30
#else
#error "no context switch for this processor"
#endif
  return s;
}

#if defined(__x86_64__)
// The return goes through a jump: a ret would be predicted to where this fiber's caller was, which is another fiber's.
asm(R"(
.text
.globl metalsim_switch
.hidden metalsim_switch
.type metalsim_switch,@function
metalsim_switch:
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
  popq %rcx
  jmpq *%rcx
.size metalsim_switch, .-metalsim_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl metalsim_switch
.hidden metalsim_switch
.type metalsim_switch,%function
metalsim_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  br x30
.size metalsim_switch, .-metalsim_switch
)");
#endif

}  // namespace metalsim
