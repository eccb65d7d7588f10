// encoder.cpp: MTLComputeCommandEncoder: records, and checks what Metal's validation layer checks.
#include <cstring>

#include "command.h"

namespace sim {
namespace {

struct {
  Class *base, *compute;
} classes;

std::string where(const char *method) { return std::string("-[MTLComputeCommandEncoder ") + method + "]: "; }

bool recording(Encoder *e, const char *method) {
  if (!e->ended) return true;
  violation(Kind::kState, where(method) + "the encoder has ended");
  return false;
}

// An argument that must be a live object of the encoder's device.
template <class T>
bool usable(Encoder *e, T *o, const char *method) {
  if (o != nullptr && o->magic == Object::kLive && o->isa == class_of<T>() && o->device.get() == e->cb->queue->device.get()) return true;
  if (o == nullptr || o->magic != Object::kLive) {
    violation(o ? Kind::kReleased : Kind::kArgument, where(method) + (o ? std::string("released ") + o->isa->name : "nil"));
    return false;
  }
  if (o->isa != class_of<T>()) {
    violation(Kind::kArgument, where(method) + "a " + o->isa->name + " was passed");
    return false;
  }
  violation(Kind::kForeign, where(method) + o->isa->name + " of another device");
  return false;
}

bool index_ok(uint64_t index, const char *method) {
  if (index < kMaxBuffers) return true;
  violation(Kind::kIndex, where(method) + "index " + std::to_string(index) + ", the last is " + std::to_string(kMaxBuffers - 1));
  return false;
}

void keep(Encoder *e, Object *o) {
  if (e->cb->retains) e->cb->retained.emplace_back(o);
}

void bind(Encoder *e, uint64_t index, const Bound &b) {
  e->table[index] = b;
  if (index >= e->used) e->used = static_cast<uint32_t>(index) + 1;
}

void set_pipeline(Encoder *self, SEL, Pipeline *p) {
  const char *m = "setComputePipelineState:";
  if (!recording(self, m) || !usable(self, p, m)) return;
  self->pipeline = p;
  keep(self, p);
}

void set_buffer(Encoder *self, SEL, Buffer *b, uint64_t offset, uint64_t index) {
  const char *m = "setBuffer:offset:atIndex:";
  if (!recording(self, m) || !index_ok(index, m)) return;
  if (b == nullptr) {  // unbinds
    bind(self, index, {});
    return;
  }
  if (!usable(self, b, m)) return;
  if (offset >= b->length) {
    violation(Kind::kBounds, where(m) + "offset " + std::to_string(offset) + " in buffer \"" + b->label + "\" of " + std::to_string(b->length) + " bytes");
    return;
  }
  bind(self, index, {b, nullptr, b->length, offset});
  keep(self, b);
}

void set_bytes(Encoder *self, SEL, const char *p, uint64_t length, uint64_t index) {
  const char *m = "setBytes:length:atIndex:";
  if (!recording(self, m) || !index_ok(index, m)) return;
  if (p == nullptr || length == 0 || length > kMaxSetBytes) {
    violation(Kind::kLength, where(m) + std::to_string(length) + " bytes, want 1 to " + std::to_string(kMaxSetBytes));
    return;
  }
  // Small copies share blocks, aligned as Metal aligns them.
  uint64_t padded = (length + 15) & ~15ull;
  auto &blocks = self->cb->bytes;
  if (blocks.empty() || blocks.back().capacity() - blocks.back().size() < padded) {
    blocks.emplace_back();
    blocks.back().reserve(16 << 10);
  }
  auto &block = blocks.back();
  char *copy = block.data() + block.size();
  block.resize(block.size() + padded);
  std::memcpy(copy, p, length);
  bind(self, index, {nullptr, copy, length, 0});
}

void set_threadgroup(Encoder *self, SEL, uint64_t length, uint64_t index) {
  const char *m = "setThreadgroupMemoryLength:atIndex:";
  if (!recording(self, m) || !index_ok(index, m)) return;
  if (length % 16 != 0 || length > kMaxThreadgroupMemory) {
    violation(Kind::kLength, where(m) + std::to_string(length) + " bytes, want a multiple of 16 up to " + std::to_string(kMaxThreadgroupMemory));
    return;
  }
  self->threadgroup_bytes += length - self->threadgroup[index];
  self->threadgroup[index] = static_cast<uint32_t>(length);
}

bool complete(Encoder *e, const metalsim_kernel_info &k, const char *m) {
  for (uint32_t i = 0; i < k.arg_count; i++) {
    const metalsim_arg &a = k.args[i];
    if (!a.active) continue;
    if (a.kind == METALSIM_ARG_BUFFER && e->table[a.index].buffer == nullptr && e->table[a.index].bytes == nullptr) {
      violation(Kind::kUnbound, where(m) + k.name + ": nothing is bound to buffer " + std::to_string(a.index) + " (" + a.name + ")");
      return false;
    }
    if (a.kind == METALSIM_ARG_THREADGROUP && e->threadgroup[a.index] == 0) {
      violation(Kind::kUnbound, where(m) + k.name + ": threadgroup memory " + std::to_string(a.index) + " (" + a.name + ") has no length");
      return false;
    }
  }
  return true;
}

void dispatch(Encoder *e, const char *m, const Size &grid, const Size &threads, bool grid_is_threads) {
  if (!recording(e, m)) return;
  Pipeline *p = e->pipeline;
  if (p == nullptr) {
    violation(Kind::kState, where(m) + "no compute pipeline state is set");
    return;
  }
  const metalsim_kernel_info &k = *p->info;
  uint64_t n = threads.width * threads.height * threads.depth;
  auto complain = [&](Kind kind, const std::string &text) { violation(kind, where(m) + k.name + ": " + text); };
  if (n == 0 || grid.width * grid.height * grid.depth == 0) return complain(Kind::kThreads, "the grid or the threadgroup is empty");
  if (n > p->max_threads) return complain(Kind::kThreads, std::to_string(n) + " threads per threadgroup, the pipeline allows " + std::to_string(p->max_threads));
  if (p->whole_simd_groups && n % p->width != 0) return complain(Kind::kThreads, std::to_string(n) + " threads are not a multiple of the execution width, as the pipeline promised");
  if (uint64_t bytes = e->threadgroup_bytes + k.static_threadgroup_memory_length; bytes > kMaxThreadgroupMemory)
    return complain(Kind::kLength, std::to_string(bytes) + " bytes of threadgroup memory, at most " + std::to_string(kMaxThreadgroupMemory));
  if (!complete(e, k, m)) return;

  CommandBuffer *cb = e->cb.get();
  Command c{Command::kDispatch};
  c.pipeline = p, c.grid = grid, c.threads = threads, c.grid_is_threads = grid_is_threads;
  c.first = static_cast<uint32_t>(cb->bound.size()), c.count = e->used;
  c.threadgroup = e->threadgroup;
  cb->bound.insert(cb->bound.end(), e->table.begin(), e->table.begin() + e->used);
  cb->commands.push_back(c);
}

void barrier_buffers(Encoder *self, SEL, Buffer *const *buffers, uint64_t count) {
  const char *m = "memoryBarrierWithResources:count:";
  if (!recording(self, m)) return;
  CommandBuffer *cb = self->cb.get();
  Command c{Command::kBarrierBuffers};
  c.first = static_cast<uint32_t>(cb->bound.size()), c.count = static_cast<uint32_t>(count);
  for (uint64_t i = 0; i < count; i++)
    if (!usable(self, buffers[i], m)) return;
  for (uint64_t i = 0; i < count; i++) cb->bound.push_back({buffers[i], nullptr, 0, 0});
  cb->commands.push_back(c);
}

void end_encoding(Encoder *self, SEL) {
  if (!recording(self, "endEncoding")) return;
  if (self->groups != 0) violation(Kind::kState, where("endEncoding") + std::to_string(self->groups) + " debug groups are open");
  self->ended = true;
  self->cb->open = nullptr;
}

}  // namespace

Encoder::Encoder(CommandBuffer *c, bool concurrent) : Labelled(classes.compute), cb(c) {
  Command begin{Command::kBeginEncoder};
  begin.concurrent = concurrent;
  c->commands.push_back(begin);
  c->open = this;
}

Encoder::~Encoder() {
  if (ended) return;
  violation(Kind::kState, "command encoder released without endEncoding");
  cb->open = nullptr;
}

Class *encoder_class() { return classes.compute; }

void define_encoder() {
  Class *b = classes.base = define_class("MTLCommandEncoder", root_class());
  add_label_methods(b);
  add(b, "device", "@", +[](Encoder *self, SEL) -> Object * { return self->cb->queue->device.get(); });
  add(b, "endEncoding", "v", end_encoding);
  add(b, "pushDebugGroup:", "v@", +[](Encoder *self, SEL, Object *name) {
    if (recording(self, "pushDebugGroup:") && text_of(name, "pushDebugGroup:")) self->groups++;
  });
  add(b, "popDebugGroup", "v", +[](Encoder *self, SEL) {
    if (!recording(self, "popDebugGroup")) return;
    if (self->groups == 0) violation(Kind::kState, where("popDebugGroup") + "no debug group is open");
    else self->groups--;
  });
  add(b, "insertDebugSignpost:", "v@", +[](Encoder *self, SEL, Object *) { recording(self, "insertDebugSignpost:"); });

  Class *c = classes.compute = define_class("MTLComputeCommandEncoder", b);
  add(c, "setComputePipelineState:", "v@", set_pipeline);
  add(c, "setBuffer:offset:atIndex:", "v@QQ", set_buffer);
  add(c, "setBufferOffset:atIndex:", "vQQ", +[](Encoder *self, SEL s, uint64_t offset, uint64_t index) {
    const char *m = "setBufferOffset:atIndex:";
    if (!recording(self, m) || !index_ok(index, m)) return;
    if (self->table[index].buffer == nullptr) violation(Kind::kUnbound, where(m) + "no buffer is bound there");
    else set_buffer(self, s, self->table[index].buffer, offset, index);
  });
  add(c, "setBytes:length:atIndex:", "v^QQ", set_bytes);
  add(c, "setThreadgroupMemoryLength:atIndex:", "vQQ", set_threadgroup);
  add(c, "dispatchThreadgroups:threadsPerThreadgroup:", "vSS", +[](Encoder *self, SEL, Size grid, Size threads) {
    dispatch(self, "dispatchThreadgroups:threadsPerThreadgroup:", grid, threads, false);
  });
  add(c, "dispatchThreads:threadsPerThreadgroup:", "vSS", +[](Encoder *self, SEL, Size grid, Size threads) {
    dispatch(self, "dispatchThreads:threadsPerThreadgroup:", grid, threads, true);
  });
  add(c, "memoryBarrierWithScope:", "vQ", +[](Encoder *self, SEL, uint64_t scope) {
    const char *m = "memoryBarrierWithScope:";
    if (!recording(self, m)) return;
    if (scope == 0 || scope > 3) violation(Kind::kArgument, where(m) + "scope " + std::to_string(scope));
    else if (scope & 1) self->cb->commands.push_back(Command{Command::kBarrier});
  });
  add(c, "memoryBarrierWithResources:count:", "v^Q", barrier_buffers);
}

}  // namespace sim
