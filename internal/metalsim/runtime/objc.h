// objc.h: the small Objective-C object model the simulated Metal classes are written in.
//
// A client sees only C symbols (objc_msgSend and its neighbours) and opaque pointers. Classes have a table of methods with
// their type; a message is looked up there by selector, like in the real runtime, and a message that the real runtime or
// Metal's validation layer would punish is recorded as a violation (control.h) and does nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#define METALSIM_EXPORT extern "C" __attribute__((visibility("default")))

namespace sim {

// Selectors are interned: equal names are the same pointer, and `index` finds a method without hashing.
struct Selector {
  std::string name;
  uint32_t index;
  mutable std::atomic<uint64_t> sent{0};  // messages with it, since the process began
};
using SEL = const Selector *;

SEL selector(std::string_view name);

struct Class;

// Every object starts with these fields. `magic` tells a live object from a released one, whose header is kept for a while
// (a zombie) so that a message to it is recognised.
struct Object {
  static constexpr uint32_t kLive = 0x4a4a0b1e, kReleased = 0xdeadb0b0;

  explicit Object(Class *isa);
  virtual ~Object();
  Object(const Object &) = delete;
  Object &operator=(const Object &) = delete;

  uint32_t magic;
  std::atomic<int32_t> references{1};
  Class *isa;

 protected:
  Object(Class *isa, uint32_t magic) : magic(magic), isa(isa) {}  // not counted: classes and zombies
};

using IMP = void (*)();

// Types of a method: result, then arguments, as in metal's table.go: v void, @ object, Q and q 64-bit integers, B BOOL,
// d double, * C string, ^ pointer, : selector, S MTLSize by value, ? block.
struct Method {
  IMP imp = nullptr;
  SEL sel = nullptr;
  const char *types = nullptr;
  int arguments = 0;  // words in registers; -1: not checked, since there are MTLSize among them
  int since = 0;  // first macOS that has it; 0: any supported one
  const Class *owner = nullptr;
};

struct Class : Object {
  Class(const char *name, Class *super, Class *meta, int since);
  const char *name;
  Class *super;
  int since;
  Object *(*create)() = nullptr;  // what +alloc makes; nullptr: instances come from other objects only
  std::vector<Method> methods;  // by selector index; imp == nullptr: not here

  const Method *find(SEL s) const;
};

// A class and, where it has class methods, its metaclass.
Class *define_class(const char *name, Class *super, int since = 0);
Class *class_named(std::string_view name);
const std::vector<Class *> &all_classes();
Class *root_class();

void add_method(Class *c, const char *name, const char *types, IMP imp, int since = 0);

// add(class, "selector:", "v@", +[](T *self, SEL, ...) {...})
template <class R, class... A>
void add(Class *c, const char *name, const char *types, R (*imp)(A...), int since = 0) {
  add_method(c, name, types, reinterpret_cast<IMP>(imp), since);
}

// Reference counting. release() of the last reference destroys the object and leaves a zombie.
template <class T>
T *retain(T *o) {
  if (o) o->references.fetch_add(1, std::memory_order_relaxed);
  return o;
}
void release(Object *o);
void autorelease_object(Object *o);
template <class T>
T *autorelease(T *o) {
  autorelease_object(o);
  return o;
}

// Live objects by class name; of immortal ones the references a client holds.
void live_objects(std::vector<std::pair<std::string, int64_t>> &out);
// Marks an object as living as long as the process: not a leak itself.
void make_immortal(Object *o);

// Ref holds one reference.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T *o) : o_(retain(o)) {}
  static Ref adopt(T *o) {
    Ref r;
    r.o_ = o;
    return r;
  }
  Ref(const Ref &r) : o_(retain(r.o_)) {}
  Ref(Ref &&r) noexcept : o_(r.o_) { r.o_ = nullptr; }
  Ref &operator=(Ref r) noexcept {
    std::swap(o_, r.o_);
    return *this;
  }
  ~Ref() {
    if (o_) release(o_);
  }
  T *get() const { return o_; }
  T *operator->() const { return o_; }
  explicit operator bool() const { return o_ != nullptr; }

 private:
  T *o_ = nullptr;
};

// MTLSize: three NSUInteger, passed by value.
struct Size {
  uint64_t width, height, depth;
};

// Block literal of the published block ABI.
struct BlockDescriptor {
  uintptr_t reserved, size;
  void (*copy)(void *dst, const void *src);
  void (*dispose)(const void *src);
};
struct Block {
  static constexpr int32_t kHasCopyDispose = 1 << 25, kIsGlobal = 1 << 28;
  void *isa;
  int32_t flags, reserved;
  void (*invoke)();
  const BlockDescriptor *descriptor;
};
Block *copy_block(const Block *b);
void dispose_block(Block *b);

}  // namespace sim
