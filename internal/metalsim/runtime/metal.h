// metal.h: the simulated Metal objects.
#pragma once

#include <array>
#include <condition_variable>
#include <memory>

#include "../engine/engine.h"
#include "control.h"
#include "foundation.h"
#include "objc.h"

namespace sim {

struct Device : Object {
  explicit Device(int index);
  int index;
  std::atomic<uint64_t> allocated{0};
};

// Metal's limits, as the Metal Feature Set Tables give them for Apple7 and later.
constexpr uint64_t kMaxBuffers = METALSIM_MAX_BUFFERS;
constexpr uint64_t kMaxSetBytes = 4096;
constexpr uint64_t kMaxThreadgroupMemory = METALSIM_MAX_THREADGROUP_MEMORY;
constexpr uint64_t kMaxCommandBuffers = 64;  // uncompleted ones of a queue

struct Labelled : Object {
  using Object::Object;
  std::string label;
};

// MTLBuffer. Its memory ends at a page of no access; bytes between its length and that page are watched.
struct Buffer : Labelled {
  Buffer(Device *device, uint64_t length, uint64_t options);
  Buffer(Device *device, void *memory, uint64_t length, uint64_t options, const Block *deallocator);
  ~Buffer() override;
  void check_tail() const;  // records a CPU write past the end

  Ref<Device> device;
  char *memory;
  uint64_t length, options;
  uint64_t mapped = 0;  // bytes mapped by us; 0: the client's memory
  Block *deallocator = nullptr;
  bool is_private() const { return (options & 0xf0) == 0x20; }
};

struct CompileOptions : Object {
  CompileOptions();
  uint64_t language_version = 0;
  bool fast_math = true;
  std::vector<std::pair<std::string, std::string>> macros;
};

struct Library : Labelled {
  Library(Device *device, metalsim_library *library, const std::string &source);
  ~Library() override;
  Ref<Device> device;
  metalsim_library *library;
  const bool checked;         // compiled in mode check
  bool reduces, multiplies;  // has reductions of SIMD-groups, products of their matrices
};

struct ConstantValues : Object {
  ConstantValues();
  struct Value {
    std::string name;  // empty: by index
    uint32_t index, type;
    std::array<char, 16> bytes;
  };
  std::vector<Value> values;
};

struct Function : Labelled {
  Function(Library *library, std::string name, metalsim_kernel *kernel);
  ~Function() override;
  Ref<Library> library;
  std::string name;
  metalsim_kernel *kernel;
};

struct PipelineDescriptor : Labelled {
  PipelineDescriptor();
  Ref<Function> function;
  uint64_t max_threads = 0;
  bool whole_simd_groups = false;
};

struct Pipeline : Labelled {
  explicit Pipeline(Device *device, const PipelineDescriptor &d);
  ~Pipeline() override;
  Ref<Device> device;
  metalsim_kernel *kernel;
  const metalsim_kernel_info *info;
  uint64_t max_threads, width;
  bool whole_simd_groups;
  const bool checked;  // its kernel, in mode check
};

struct ResidencySetDescriptor : Labelled {
  ResidencySetDescriptor();
  uint64_t capacity = 0;
};

struct ResidencySet : Labelled {
  ResidencySet(Device *device, std::string label);
  Ref<Device> device;
  std::mutex mutex;
  std::vector<Ref<Buffer>> committed, pending;
};

// Class registration, one function per file.
void define_device();
void define_library();
void define_command();
void define_residency();
void define_capture();

// The class of a simulated object's type, for Buffer and Pipeline.
template <class T>
Class *class_of();
template <>
Class *class_of<Buffer>();
template <>
Class *class_of<Pipeline>();

// The device objects; index 0 is the default one.
Device *device_at(int index);

// One line about an executed dispatch, for a running capture.
void capture_line(const std::string &line);
bool capturing();

// -setLabel: and -label.
void add_label_methods(Class *c);
// -device
template <class T>
void add_device_method(Class *c) {
  add(c, "device", "@", +[](T *self, SEL) -> Object * { return self->device.get(); });
}

}  // namespace sim
