// command.cpp: MTLCommandQueue and MTLCommandBuffer: life of a command buffer, its worker thread, completion.
#include "flight.h"

#include <time.h>

namespace sim {
namespace {

struct {
  Class *queue, *command_buffer;
} classes;

const char *explain(int64_t code) {
  switch (code) {
    case 2: return "Caused GPU Timeout Error (00000002:kIOAccelCommandBufferCallbackErrorTimeout)";
    case 3: return "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)";
    case 4: return "Ignored (for causing prior/excessive GPU errors) (00000004:kIOAccelCommandBufferCallbackErrorSubmissionsIgnored)";
    case 7: return "Insufficient Permission (to submit GPU work from background) (00000006:kIOGPUCommandBufferCallbackErrorBackgroundExecutionNotPermitted)";
    case 8: return "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)";
    case 9: return "Invalid Resource (00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)";
    case 11: return "Device Removed";
  }
  return "Internal Error (0000000e:Internal Error)";
}

void run_worker(std::shared_ptr<Worker> w) {
  std::unique_lock lock(w->mutex);
  for (;;) {
    w->changed.wait(lock, [&] { return w->stop || !w->waiting.empty(); });
    if (w->waiting.empty()) return;
    Ref<CommandBuffer> cb = Ref<CommandBuffer>::adopt(w->waiting.front());
    w->waiting.pop_front();
    lock.unlock();
    cb->complete(cb->execute());
    cb = {};
    lock.lock();
    w->committed--, w->uncompleted--;
    w->changed.notify_all();
  }
}

// Like Metal, waits when the queue has as many uncompleted command buffers as it allows; if none of them was committed,
// the client waits for itself.
Object *new_command_buffer(Queue *q, bool retains) {
  if (fault(Fault::kCommandBuffer)) return nullptr;
  std::unique_lock lock(q->worker->mutex);
  auto room = [&] { return q->worker->uncompleted < kMaxCommandBuffers || q->worker->committed == 0; };
  q->worker->changed.wait(lock, room);
  if (q->worker->uncompleted >= kMaxCommandBuffers)
    violation(Kind::kState, "-[MTLCommandQueue commandBuffer] would wait forever: " + std::to_string(kMaxCommandBuffers) + " command buffers are neither committed nor released");
  q->worker->uncompleted++;
  lock.unlock();
  counters().command_buffers++;
  return autorelease(new CommandBuffer(q, retains));
}

Object *new_encoder(CommandBuffer *cb, const char *method, bool concurrent) {
  std::string at = std::string("-[MTLCommandBuffer ") + method + "]: ";
  if (cb->status != kNotEnqueued) {
    violation(Kind::kState, at + "the command buffer was committed");
    return nullptr;
  }
  if (cb->open != nullptr) {
    violation(Kind::kState, at + "the previous encoder has not ended");
    return nullptr;
  }
  if (fault(Fault::kEncoder)) return nullptr;
  counters().encoders++;
  return autorelease(new Encoder(cb, concurrent));
}

void commit(CommandBuffer *self, SEL) {
  {
    std::lock_guard lock(self->mutex);
    if (self->status != kNotEnqueued) return violation(Kind::kState, "-[MTLCommandBuffer commit]: committed before");
    if (self->open != nullptr) return violation(Kind::kState, "-[MTLCommandBuffer commit]: an encoder has not ended");
    self->status = kCommitted;
  }
  if (config().execute) self->flight = Flight::commit(self);
  counters().commits++;
  record_event({self->serial, false});
  std::shared_ptr<Worker> w = self->queue->worker;
  std::unique_lock lock(w->mutex);
  w->committed++;
  w->waiting.push_back(retain(self));
  w->changed.notify_all();
  if (config().finish != kCompletesEarly) return;
  w->changed.wait(lock, [&] { return w->committed == 0; });
  if (self->magic != Object::kLive) violation(Kind::kReleased, "a command buffer was freed while -[MTLCommandBuffer commit] was still running");
}

void add_handler(CommandBuffer *self, SEL, const Block *b) {
  std::unique_lock lock(self->mutex);
  if (b == nullptr || self->status != kNotEnqueued) return violation(Kind::kState, "-[MTLCommandBuffer addCompletedHandler:]: nil, or the command buffer was committed");
  self->handlers.push_back(copy_block(b));
  counters().waits++;
}

void wait_completed(CommandBuffer *self, SEL) {
  {
    std::unique_lock lock(self->mutex);
    if (self->status == kNotEnqueued) return violation(Kind::kState, "-[MTLCommandBuffer waitUntilCompleted]: not committed");
    counters().waits++;
    self->changed.wait(lock, [&] { return self->handled; });
  }
  if (self->flight) self->flight->completed();
}

template <class T>
T locked(CommandBuffer *cb, T CommandBuffer::*field) {
  std::lock_guard lock(cb->mutex);
  return cb->*field;
}

}  // namespace

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Queue::Queue(Device *d) : Labelled(classes.queue), device(d) { std::thread(run_worker, worker).detach(); }

Queue::~Queue() {
  std::lock_guard lock(worker->mutex);
  worker->stop = true;
  worker->changed.notify_all();
}

static std::atomic<uint64_t> serials;

CommandBuffer::CommandBuffer(Queue *q, bool r) : Labelled(classes.command_buffer), queue(q), retains(r), serial(++serials) {
  commands.reserve(128);
  bound.reserve(1024);
}

CommandBuffer::~CommandBuffer() {
  if (status != kNotEnqueued) return;  // the worker has counted it
  for (Block *b : handlers) dispose_block(b);
  std::lock_guard lock(queue->worker->mutex);
  queue->worker->uncompleted--;
  queue->worker->changed.notify_all();
}

void CommandBuffer::complete(int64_t code) {
  record_event({serial, true});
  std::vector<Block *> calls;
  {
    std::lock_guard lock(mutex);
    status = code == 0 ? kCompleted : kFailed;
    if (code != 0) error = Ref<Error>::adopt(new Error("MTLCommandBufferErrorDomain", code, explain(code)));
    calls.swap(handlers);
    retained.clear();
  }
  if (flight && !calls.empty()) flight->completed();
  Ref<Object> handed(this);
  if (config().finish == kNamesAnother) handed = Ref<Object>::adopt(new Object(root_class()));
  // waitUntilCompleted returns after the handlers have run, as documented.
  for (Block *b : calls) {
    reinterpret_cast<void (*)(Block *, Object *)>(b->invoke)(b, handed.get());
    dispose_block(b);
  }
  std::lock_guard lock(mutex);
  handled = true;
  changed.notify_all();
}

void define_command() {
  define_encoder();
  Class *q = classes.queue = define_class("MTLCommandQueue", root_class());
  add_label_methods(q);
  add_device_method<Queue>(q);
  add(q, "commandBuffer", "@", +[](Queue *self, SEL) { return new_command_buffer(self, true); });
  add(q, "commandBufferWithUnretainedReferences", "@", +[](Queue *self, SEL) { return new_command_buffer(self, false); });

  Class *c = classes.command_buffer = define_class("MTLCommandBuffer", root_class());
  add_label_methods(c);
  add(c, "device", "@", +[](CommandBuffer *self, SEL) -> Object * { return self->queue->device.get(); });
  add(c, "commandQueue", "@", +[](CommandBuffer *self, SEL) -> Object * { return self->queue.get(); });
  add(c, "retainedReferences", "B", +[](CommandBuffer *self, SEL) { return self->retains; });
  add(c, "computeCommandEncoder", "@", +[](CommandBuffer *self, SEL) { return new_encoder(self, "computeCommandEncoder", false); });
  add(c, "computeCommandEncoderWithDispatchType:", "@Q", +[](CommandBuffer *self, SEL, uint64_t type) { return new_encoder(self, "computeCommandEncoderWithDispatchType:", type == 1); });
  add(c, "commit", "v", commit);
  add(c, "addCompletedHandler:", "v?", add_handler);
  add(c, "waitUntilCompleted", "v", wait_completed);
  add(c, "status", "Q", +[](CommandBuffer *self, SEL) -> uint64_t {
    Status s = locked(self, &CommandBuffer::status);
    if (s >= kCompleted && self->flight) self->flight->completed();
    return s;
  });
  add(c, "error", "@", +[](CommandBuffer *self, SEL) -> Object * { return self->error.get(); });
  add(c, "GPUStartTime", "d", +[](CommandBuffer *self, SEL) { return locked(self, &CommandBuffer::gpu_start); });
  add(c, "GPUEndTime", "d", +[](CommandBuffer *self, SEL) { return locked(self, &CommandBuffer::gpu_end); });
  for (auto name : {"pushDebugGroup:", "popDebugGroup"})
    add(c, name, name[1] == 'u' ? "v@" : "v", +[](CommandBuffer *, SEL) {});

  Class *device = class_named("MTLDevice");
  auto new_queue = +[](Device *self, SEL) -> Object * { return fault(Fault::kQueue) ? nullptr : new Queue(self); };
  add(device, "newCommandQueue", "@", new_queue);
}

}  // namespace sim
