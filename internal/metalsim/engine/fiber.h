// fiber.h: stacks and the switch between them.
#pragma once

namespace metalsim {

constexpr unsigned kMaxThreads = 1024;
constexpr unsigned long kStackSize = 256 << 10;   // of address space; pages come into being when touched

// Makes `entry` run on stack `index` at the next switch to the returned stack pointer. `entry` must not return.
void *prepare_stack(unsigned index, void (*entry)());
bool is_stack(const void *p);

// Saves the callee-saved registers and the stack pointer in *save and continues at `load`.
extern "C" void metalsim_switch(void **save, void *load);

}  // namespace metalsim
