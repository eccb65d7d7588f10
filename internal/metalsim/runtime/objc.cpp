// objc.cpp: classes, messages, reference counts, autorelease pools, blocks.
#include "objc.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <unordered_map>

#include "control.h"

namespace sim {
namespace {

// Everything here lives as long as the process and is never destroyed: other threads may still send messages at exit.
struct Runtime {
  std::mutex mutex;
  std::unordered_map<std::string_view, Selector *> selectors;
  std::map<std::string, Class *, std::less<>> classes;
  std::vector<Class *> order;
  Class *root = nullptr;
  std::map<std::string, int64_t> live;
  std::deque<Object *> zombies;
  std::vector<Object *> immortals;
};

Runtime &rt() {
  static Runtime *r = new Runtime;
  return *r;
}

constexpr size_t kZombies = 1 << 16;  // released objects remembered

struct Zombie : Object {
  explicit Zombie(Class *was) : Object(was, kReleased) {}
};

thread_local std::vector<std::vector<Object *>> pools;

}  // namespace

SEL selector(std::string_view name) {
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  auto it = r.selectors.find(name);
  if (it != r.selectors.end()) return it->second;
  auto *s = new Selector{std::string(name), static_cast<uint32_t>(r.selectors.size()), 0};
  r.selectors.emplace(s->name, s);
  return s;
}

Object::Object(Class *c) : magic(kLive), isa(c) {
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  r.live[c->name]++;
}

Object::~Object() = default;

Class::Class(const char *n, Class *s, Class *meta, int since) : Object(meta, kLive), name(n), super(s), since(since) {}

const Method *Class::find(SEL s) const {
  for (const Class *c = this; c != nullptr; c = c->super) {
    if (s->index < c->methods.size() && c->methods[s->index].imp != nullptr) {
      const Method &m = c->methods[s->index];
      return m.since <= config().os && !driver_lacks(s->name) ? &m : nullptr;
    }
  }
  return nullptr;
}

Class *define_class(const char *name, Class *super, int since) {
  auto *meta = new Class(name, super ? super->isa : nullptr, nullptr, since);
  auto *c = new Class(name, super, meta, since);
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  if (super == nullptr) r.root = c;
  if (super == nullptr) meta->super = c;  // class objects answer NSObject's instance methods too
  r.classes[name] = c;
  r.order.push_back(c);
  return c;
}

Class *class_named(std::string_view name) {
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  auto it = r.classes.find(name);
  return it == r.classes.end() ? nullptr : it->second;
}

const std::vector<Class *> &all_classes() { return rt().order; }
Class *root_class() { return rt().root; }

void add_method(Class *c, const char *name, const char *types, IMP imp, int since) {
  SEL s = selector(name);
  if (c->methods.size() <= s->index) c->methods.resize(s->index + 1);
  bool sizes = std::strchr(types, 'S') != nullptr;
  c->methods[s->index] = Method{imp, s, types, sizes ? -1 : static_cast<int>(std::strlen(types)) - 1, since, c};
}

constexpr int32_t kImmortal = 1 << 29;

void make_immortal(Object *o) {
  o->references.store(kImmortal);
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  r.live[o->isa->name]--;
  r.immortals.push_back(o);
}

void release(Object *o) {
  if (o == nullptr) return;
  int32_t left = o->references.fetch_sub(1, std::memory_order_acq_rel) - 1;
  if (left > 0) return;
  Class *c = o->isa;
  o->~Object();
  auto *z = new (static_cast<void *>(o)) Zombie(c);
  Runtime &r = rt();
  Object *oldest = nullptr;
  {
    std::lock_guard lock(r.mutex);
    r.live[c->name]--;
    r.zombies.push_back(z);
    if (r.zombies.size() > kZombies) {
      oldest = r.zombies.front();
      r.zombies.pop_front();
    }
  }
  if (oldest != nullptr) ::operator delete(oldest);
}

void autorelease_object(Object *o) {
  if (o == nullptr) return;
  if (pools.empty()) {
    violation(Kind::kNoPool, std::string(o->isa->name) + " autoreleased on a thread without an autorelease pool: it leaks");
    return;
  }
  pools.back().push_back(o);
}

void live_objects(std::vector<std::pair<std::string, int64_t>> &out) {
  Runtime &r = rt();
  std::lock_guard lock(r.mutex);
  std::map<std::string, int64_t> all = r.live;
  for (Object *o : r.immortals) all[o->isa->name] += o->references.load() - kImmortal;
  for (auto &[name, n] : all)
    if (n != 0) out.emplace_back(name, n);
}

Block *copy_block(const Block *b) {
  if (b == nullptr || (b->flags & Block::kIsGlobal)) return const_cast<Block *>(b);
  auto *c = static_cast<Block *>(std::malloc(b->descriptor->size));
  std::memcpy(static_cast<void *>(c), b, b->descriptor->size);
  if (b->flags & Block::kHasCopyDispose) b->descriptor->copy(c, b);
  return c;
}

void dispose_block(Block *b) {
  if (b == nullptr || (b->flags & Block::kIsGlobal)) return;
  if (b->flags & Block::kHasCopyDispose) b->descriptor->dispose(b);
  std::free(b);
}

namespace {

// An argument register holding this says "no argument here": metal fills the unused ones with it, so that a message with
// the wrong number of arguments is recognised. A message without any such register is not checked: other clients' ones.
constexpr uintptr_t kUnused = 0x5afe0bad;
constexpr int kArgumentRegisters = 4;  // beside receiver and selector, those all architectures have

std::string method_name(const Object *o, const Class *c, SEL s) {
  bool is_class = o->isa != nullptr && dynamic_cast<const Class *>(o) != nullptr;
  return std::string(is_class ? "+[" : "-[") + c->name + " " + s->name + "]";
}

bool arguments_match(const Object *o, const Method &m, const uintptr_t *registers) {
  int have = 0;
  while (have < kArgumentRegisters && registers[2 + have] != kUnused) have++;
  if (have == kArgumentRegisters || have == m.arguments || m.arguments < 0) return true;
  violation(Kind::kArguments, method_name(o, m.owner, m.sel) + " was sent with " + std::to_string(have) + " arguments, it takes " +
                                  std::to_string(m.arguments));
  return false;
}

}  // namespace
}  // namespace sim

extern "C" {

// What a message to nil, or one that was a violation, runs: it returns 0 in every register a result may be in.
__attribute__((visibility("hidden"))) void metalsim_nil_method();

// Called by objc_msgSend: registers are the six integer argument registers, starting with receiver and selector.
__attribute__((visibility("hidden"))) sim::IMP metalsim_lookup(sim::Object *o, sim::SEL s, const uintptr_t *registers) {
  using namespace sim;
  if (o == nullptr) return metalsim_nil_method;
  counters().messages.fetch_add(1, std::memory_order_relaxed);
  if (o->magic != Object::kLive) {
    if (o->magic == Object::kReleased)
      violation(Kind::kReleased, std::string("-[") + o->isa->name + " " + s->name + "] was sent to a released object");
    else
      violation(Kind::kReleased, "message " + s->name + " was sent to memory that is not an object");
    return metalsim_nil_method;
  }
  const Method *m = o->isa->find(s);
  if (m == nullptr) {
    violation(Kind::kSelector, method_name(o, o->isa, s) + ": unrecognized selector");
    return metalsim_nil_method;
  }
  if (!arguments_match(o, *m, registers)) return metalsim_nil_method;
  s->sent.fetch_add(1, std::memory_order_relaxed);
  return m->imp;
}
}

#if defined(__x86_64__)
asm(R"(
.text
.globl objc_msgSend
.type objc_msgSend,@function
objc_msgSend:
  push %rbp
  mov %rsp, %rbp
  push %r9
  push %r8
  push %rcx
  push %rdx
  push %rsi
  push %rdi
  mov %rsp, %rdx
  call metalsim_lookup
  mov %rax, %r11
  pop %rdi
  pop %rsi
  pop %rdx
  pop %rcx
  pop %r8
  pop %r9
  pop %rbp
  jmp *%r11
.size objc_msgSend, .-objc_msgSend

.globl metalsim_nil_method
.hidden metalsim_nil_method
.type metalsim_nil_method,@function
metalsim_nil_method:
  xor %eax, %eax
  xor %edx, %edx
  pxor %xmm0, %xmm0
  ret
.size metalsim_nil_method, .-metalsim_nil_method
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl objc_msgSend
.type objc_msgSend,%function
objc_msgSend:
  stp x29, x30, [sp, #-96]!
  mov x29, sp
  stp x0, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  stp x6, x7, [sp, #64]
  str x8, [sp, #80]
  add x2, sp, #16
  bl metalsim_lookup
  mov x16, x0
  ldp x0, x1, [sp, #16]
  ldp x2, x3, [sp, #32]
  ldp x4, x5, [sp, #48]
  ldp x6, x7, [sp, #64]
  ldr x8, [sp, #80]
  ldp x29, x30, [sp], #96
  br x16
.size objc_msgSend, .-objc_msgSend

.globl metalsim_nil_method
.hidden metalsim_nil_method
.type metalsim_nil_method,%function
metalsim_nil_method:
  mov x0, #0
  mov x1, #0
  fmov d0, xzr
  ret
.size metalsim_nil_method, .-metalsim_nil_method
)");
#else
#error "metalsim runs on amd64 and arm64"
#endif

using namespace sim;

METALSIM_EXPORT const void *const _NSConcreteGlobalBlock[32] = {};
METALSIM_EXPORT const void *const _NSConcreteStackBlock[32] = {};

METALSIM_EXPORT SEL sel_registerName(const char *name) { return selector(name); }
METALSIM_EXPORT const char *sel_getName(SEL s) { return s ? s->name.c_str() : "<null selector>"; }

METALSIM_EXPORT Class *objc_getClass(const char *name) {
  Class *c = class_named(name);
  return c != nullptr && c->since <= config().os ? c : nullptr;
}

METALSIM_EXPORT Class *object_getClass(Object *o) { return o ? o->isa : nullptr; }
METALSIM_EXPORT const char *class_getName(Class *c) { return c ? c->name : "nil"; }

static bool usable(Object *o, const char *what) {
  if (o == nullptr) return false;
  if (o->magic == Object::kLive) return true;
  violation(Kind::kReleased, std::string(what) + " of a released " + (o->magic == Object::kReleased ? o->isa->name : "object"));
  return false;
}

METALSIM_EXPORT Object *objc_retain(Object *o) { return usable(o, "objc_retain") ? retain(o) : o; }
METALSIM_EXPORT void objc_release(Object *o) {
  if (usable(o, "objc_release")) release(o);
}
METALSIM_EXPORT Object *objc_autorelease(Object *o) { return usable(o, "objc_autorelease") ? autorelease(o) : o; }

METALSIM_EXPORT void *objc_autoreleasePoolPush() {
  pools.emplace_back();
  return reinterpret_cast<void *>(pools.size());
}

METALSIM_EXPORT void objc_autoreleasePoolPop(void *token) {
  auto depth = reinterpret_cast<size_t>(token);
  if (depth == 0 || depth > pools.size()) {
    violation(Kind::kNoPool, "an autorelease pool was popped on another thread than it was pushed on, or twice");
    return;
  }
  while (pools.size() >= depth) {
    // Releasing may autorelease again, so the pool is taken off before its objects go.
    std::vector<Object *> objects = std::move(pools.back());
    pools.pop_back();
    for (Object *o : objects)
      if (usable(o, "release at the end of an autorelease pool")) release(o);
  }
}
