// device.cpp: MTLDevice and MTLBuffer.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "flight.h"

namespace sim {
namespace {

struct {
  Class *device, *resource, *buffer;
} classes;

constexpr unsigned char kTail = 0xa5;  // fills the bytes between a buffer's end and its last page's

uint64_t page() {
  static const uint64_t size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Families of a simulated device: those of Apple's GPUs up to its own, Mac2, Common1 to 3, Metal3.
bool supports_family(int64_t family) {
  const GPU gpu = config().gpu;
  const int apple = gpu == GPU::kApple ? config().family.load() : gpu == GPU::kParavirtual ? 5 : 0;
  if (family >= 1001 && family <= 1010) return family - 1000 <= apple;
  if (family == 5001) return config().os >= 13 && (apple == 0 || apple >= 7);
  if (family == 2002) return apple == 0 || apple >= 7;
  return family >= 3001 && family <= 3003;
}

std::string device_name(const Device *d) {
  static const char *chips[] = {"A12", "A13", "M1", "M2", "M3"};  // Apple5 to Apple9
  std::string n = std::string("Apple ") + chips[config().family - 5];
  switch (config().gpu) {
    case GPU::kParavirtual: n = "Apple Paravirtual device"; break;
    case GPU::kIntel: n = "Intel(R) Iris(TM) Plus Graphics"; break;
    case GPU::kAMD: n = "AMD Radeon RX Vega 64"; break;
    default: break;
  }
  n += " (simulated)";
  return d->index == 0 ? n : n + " #" + std::to_string(d->index + 1);
}

Object *new_buffer(Device *self, SEL, uint64_t length, uint64_t options) {
  const char *where = "-[MTLDevice newBufferWithLength:options:]: ";
  if (length == 0 || length > config().buffer) {
    violation(Kind::kArgument, where + std::to_string(length) + " bytes");
    return nullptr;
  }
  if (fault(Fault::kBuffer) || self->allocated + length > config().memory) return nullptr;
  counters().buffers++;
  auto *b = new Buffer(self, length, options);
  if (b->memory != nullptr) return b;
  release(b);
  return nullptr;
}

Object *wrap_buffer(Device *self, SEL, void *memory, uint64_t length, uint64_t options, const Block *deallocator) {
  const char *where = "-[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:]: ";
  if (memory == nullptr || length == 0 || reinterpret_cast<uintptr_t>(memory) % page() != 0 || length % page() != 0) {
    violation(Kind::kArgument, where + std::string("the memory is not made of whole pages"));
    return nullptr;
  }
  if (length > config().buffer) {
    violation(Kind::kArgument, where + std::to_string(length) + " bytes");
    return nullptr;
  }
  if ((options & 0xf0) != 0) {
    violation(Kind::kArgument, where + std::string("storage mode must be shared"));
    return nullptr;
  }
  if (fault(Fault::kBuffer)) return nullptr;
  counters().buffers++;
  return new Buffer(self, memory, length, options, deallocator);
}

void define_buffer() {
  Class *r = classes.resource = define_class("MTLResource", root_class());
  add_label_methods(r);
  add_device_method<Buffer>(r);
  add(r, "allocatedSize", "Q", +[](Buffer *self, SEL) { return self->mapped ? self->mapped : self->length; });
  add(r, "resourceOptions", "Q", +[](Buffer *self, SEL) { return self->options; });
  add(r, "storageMode", "Q", +[](Buffer *self, SEL) { return self->options >> 4 & 15; });
  add(r, "cpuCacheMode", "Q", +[](Buffer *self, SEL) { return self->options & 15; });
  add(r, "hazardTrackingMode", "Q", +[](Buffer *self, SEL) { return self->options >> 8 & 3; });

  Class *b = classes.buffer = define_class("MTLBuffer", r);
  add(b, "contents", "^", +[](Buffer *self, SEL) -> void * { return self->is_private() ? nullptr : self->memory; });
  add(b, "length", "Q", +[](Buffer *self, SEL) { return self->length; });
  add(b, "gpuAddress", "Q", +[](Buffer *self, SEL) { return reinterpret_cast<uint64_t>(self->memory); }, 13);
}

}  // namespace

Device::Device(int i) : Object(classes.device), index(i) {}

Buffer::Buffer(Device *d, uint64_t n, uint64_t o) : Labelled(classes.buffer), device(d), length(n), options(o) {
  mapped = (n + page() - 1) / page() * page();
  void *p = mmap(nullptr, mapped + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    memory = nullptr;
    mapped = 0;
    return;
  }
  memory = static_cast<char *>(p);
  mprotect(memory + mapped, page(), PROT_NONE);
  std::memset(memory + length, kTail, mapped - length);
  device->allocated += mapped;
}

Buffer::Buffer(Device *d, void *m, uint64_t n, uint64_t o, const Block *b)
    : Labelled(classes.buffer), device(d), memory(static_cast<char *>(m)), length(n), options(o), deallocator(copy_block(b)) {
  device->allocated += length;
}

Buffer::~Buffer() {
  if (memory == nullptr) return;
  Flight::forget(this);
  check_tail();
  device->allocated -= mapped ? mapped : length;
  if (mapped) munmap(memory, mapped + page());
  if (deallocator != nullptr) {
    reinterpret_cast<void (*)(Block *, void *, uint64_t)>(deallocator->invoke)(deallocator, memory, length);
    dispose_block(deallocator);
  }
}

void Buffer::check_tail() const {
  if (mapped == 0) return;
  for (const char *p = memory + length; p < memory + mapped; p++) {
    if (static_cast<unsigned char>(*p) == kTail) continue;
    violation(Kind::kBounds, "the CPU wrote " + std::to_string(p - memory - length) + " bytes past the end of buffer \"" + label + "\" of " +
                                 std::to_string(length) + " bytes");
    return;
  }
}

template <>
Class *class_of<Buffer>() {
  return classes.buffer;
}

Device *device_at(int index) {
  static Device *devices[4] = {};
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (devices[index] == nullptr) {
    devices[index] = new Device(index);
    make_immortal(devices[index]);
  }
  return devices[index];
}

void add_label_methods(Class *c) {
  add(c, "setLabel:", "v@", +[](Labelled *self, SEL, Object *s) {
    if (s == nullptr) self->label.clear();
    else if (const std::string *t = text_of(s, "setLabel:")) self->label = *t;
  });
  add(c, "label", "@", +[](Labelled *self, SEL) { return text_or_nil(self->label); });
}

void define_device() {
  Class *c = classes.device = define_class("MTLDevice", root_class());
  add(c, "name", "@", +[](Device *self, SEL) -> Object * { return autorelease(new String(device_name(self))); });
  add(c, "registryID", "Q", +[](Device *self, SEL) -> uint64_t { return 0x100000500 + self->index; });
  add(c, "supportsFamily:", "Bq", +[](Device *, SEL, int64_t f) { return supports_family(f); });
  add(c, "hasUnifiedMemory", "B", +[](Device *, SEL) { return config().gpu != GPU::kAMD; });
  add(c, "isLowPower", "B", +[](Device *, SEL) { return config().gpu == GPU::kIntel; });
  add(c, "isHeadless", "B", +[](Device *, SEL) { return false; });
  add(c, "isRemovable", "B", +[](Device *, SEL) { return false; });
  add(c, "recommendedMaxWorkingSetSize", "Q", +[](Device *, SEL) { return config().memory.load(); });
  add(c, "maxThreadgroupMemoryLength", "Q", +[](Device *, SEL) { return kMaxThreadgroupMemory; });
  add(c, "maxBufferLength", "Q", +[](Device *, SEL) { return config().buffer.load(); });
  add(c, "currentAllocatedSize", "Q", +[](Device *self, SEL) { return self->allocated.load(); });
  add(c, "newBufferWithLength:options:", "@QQ", new_buffer);
  add(c, "newBufferWithBytesNoCopy:length:options:deallocator:", "@^QQ?", wrap_buffer);
  define_buffer();
}

// The classes exist once the library is loaded.
__attribute__((constructor)) static void define_classes() {
  define_foundation();
  define_device();
  define_library();
  define_command();
  define_residency();
  define_capture();
}

}  // namespace sim

using namespace sim;

METALSIM_EXPORT Object *MTLCreateSystemDefaultDevice() { return config().devices > 0 ? retain(device_at(0)) : nullptr; }

METALSIM_EXPORT Object *MTLCopyAllDevices() {
  std::vector<Ref<Object>> all;
  for (int i = 0; i < config().devices; i++) all.emplace_back(device_at(i));
  return new Array(std::move(all));
}
