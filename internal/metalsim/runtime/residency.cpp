// residency.cpp: MTLResidencySet and its descriptor (macOS 15).
#include <algorithm>

#include "metal.h"

namespace sim {
namespace {

constexpr int kSince = 15;

struct {
  Class *descriptor, *set;
} classes;

Object *new_set(Device *self, SEL, ResidencySetDescriptor *d, Object **error) {
  if (d == nullptr) {
    violation(Kind::kArgument, "-[MTLDevice newResidencySetWithDescriptor:error:]: no descriptor");
    return nullptr;
  }
  if (fault(Fault::kResidency)) {
    set_error(error, "MTLResidencySetErrorDomain", 1, "injected by the simulator");
    return nullptr;
  }
  return new ResidencySet(self, d->label);
}

bool ours(ResidencySet *self, Buffer *b, const char *method) {
  if (b == nullptr || b->magic != Object::kLive) {
    violation(b ? Kind::kReleased : Kind::kArgument, std::string("-[MTLResidencySet ") + method + "]: " + (b ? "released allocation" : "nil"));
    return false;
  }
  if (b->device.get() == self->device.get()) return true;
  violation(Kind::kForeign, std::string("-[MTLResidencySet ") + method + "]: the allocation is another device's");
  return false;
}

}  // namespace

ResidencySetDescriptor::ResidencySetDescriptor() : Labelled(classes.descriptor) {}
ResidencySet::ResidencySet(Device *d, std::string l) : Labelled(classes.set), device(d) { label = std::move(l); }

void define_residency() {
  Class *d = classes.descriptor = define_class("MTLResidencySetDescriptor", root_class(), kSince);
  d->create = +[]() -> Object * { return new ResidencySetDescriptor; };
  add_label_methods(d);
  add(d, "setInitialCapacity:", "vQ", +[](ResidencySetDescriptor *self, SEL, uint64_t n) { self->capacity = n; }, kSince);

  Class *c = classes.set = define_class("MTLResidencySet", root_class(), kSince);
  add_device_method<ResidencySet>(c);
  add(c, "label", "@", +[](ResidencySet *self, SEL) { return text_or_nil(self->label); }, kSince);
  add(c, "addAllocation:", "v@", +[](ResidencySet *self, SEL, Buffer *b) {
    if (!ours(self, b, "addAllocation:")) return;
    std::lock_guard lock(self->mutex);
    self->pending.emplace_back(b);
  }, kSince);
  add(c, "removeAllocation:", "v@", +[](ResidencySet *self, SEL, Buffer *b) {
    if (!ours(self, b, "removeAllocation:")) return;
    std::lock_guard lock(self->mutex);
    std::erase_if(self->pending, [&](auto &r) { return r.get() == b; });
  }, kSince);
  add(c, "removeAllAllocations", "v", +[](ResidencySet *self, SEL) {
    std::lock_guard lock(self->mutex);
    self->pending.clear();
  }, kSince);
  add(c, "commit", "v", +[](ResidencySet *self, SEL) {
    std::lock_guard lock(self->mutex);
    self->committed = self->pending;
  }, kSince);
  add(c, "requestResidency", "v", +[](ResidencySet *, SEL) {}, kSince);
  add(c, "endResidency", "v", +[](ResidencySet *, SEL) {}, kSince);
  add(c, "allocatedSize", "Q", +[](ResidencySet *self, SEL) {
    std::lock_guard lock(self->mutex);
    uint64_t n = 0;
    for (auto &b : self->committed) n += b->mapped ? b->mapped : b->length;
    return n;
  }, kSince);
  add(c, "allocationCount", "Q", +[](ResidencySet *self, SEL) -> uint64_t {
    std::lock_guard lock(self->mutex);
    return self->pending.size();
  }, kSince);

  add(class_named("MTLDevice"), "newResidencySetWithDescriptor:error:", "@@^", new_set, kSince);
  for (auto name : {"addResidencySet:", "removeResidencySet:"})
    add(class_named("MTLCommandQueue"), name, "v@", +[](Object *, SEL, ResidencySet *) {}, kSince);
  add(class_named("MTLCommandBuffer"), "useResidencySet:", "v@", +[](Object *, SEL, ResidencySet *) {}, kSince);
}

}  // namespace sim
