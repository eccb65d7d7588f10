// command.h: command queues, command buffers and compute encoders.
#pragma once

#include <thread>

#include "metal.h"

namespace sim {

struct Encoder;
struct CommandBuffer;
class Flight;

// One entry of an encoder's buffer argument table.
struct Bound {
  Buffer *buffer = nullptr;     // nullptr: setBytes, or nothing when bytes is nullptr too
  const char *bytes = nullptr;  // the copy of setBytes
  uint64_t length = 0, offset = 0;
};

// What an encoder recorded. Bindings of a dispatch are CommandBuffer::bound[first, first + count).
struct Command {
  enum What { kDispatch, kBarrier, kBarrierBuffers, kBeginEncoder } what;
  bool concurrent = false;  // kBeginEncoder
  Pipeline *pipeline = nullptr;
  Size grid{}, threads{};
  bool grid_is_threads = false;
  uint32_t first = 0, count = 0;
  std::array<uint32_t, METALSIM_MAX_THREADGROUP_ARGS> threadgroup{};
};

// The thread that executes a queue's command buffers in order. It outlives the queue until they are done.
struct Worker {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<CommandBuffer *> waiting;  // each holds a reference
  uint64_t uncompleted = 0;             // created, and neither completed nor destroyed
  uint64_t committed = 0;
  bool stop = false;
};

struct Queue : Labelled {
  explicit Queue(Device *device);
  ~Queue() override;
  Ref<Device> device;
  std::shared_ptr<Worker> worker = std::make_shared<Worker>();
};

enum Status : uint64_t { kNotEnqueued, kEnqueued, kCommitted, kScheduled, kCompleted, kFailed };  // MTLCommandBufferStatus

struct CommandBuffer : Labelled {
  CommandBuffer(Queue *queue, bool retains);
  ~CommandBuffer() override;

  Ref<Queue> queue;
  const bool retains;  // its resources (commandBuffer), or not (commandBufferWithUnretainedReferences)
  const uint64_t serial;
  std::vector<Ref<Object>> retained;
  Encoder *open = nullptr;

  std::vector<Command> commands;
  std::vector<Bound> bound;
  std::deque<std::vector<char>> bytes;  // copies of setBytes
  std::shared_ptr<Flight> flight;       // from commit, in mode check

  std::mutex mutex;
  std::condition_variable changed;
  Status status = kNotEnqueued;
  Ref<Error> error;
  double gpu_start = 0, gpu_end = 0;
  std::vector<Block *> handlers;
  bool handled = false;  // completed, and the handlers have returned

  // Runs the commands; 0 or the MTLCommandBufferError it failed with.
  int64_t execute();
  void complete(int64_t error_code);
};

struct Encoder : Labelled {
  Encoder(CommandBuffer *cb, bool concurrent);
  ~Encoder() override;
  Ref<CommandBuffer> cb;
  bool ended = false;
  int groups = 0;
  Pipeline *pipeline = nullptr;
  uint64_t threadgroup_bytes = 0;
  std::array<Bound, METALSIM_MAX_BUFFERS> table;
  uint32_t used = 0;  // highest index in table, plus one
  std::array<uint32_t, METALSIM_MAX_THREADGROUP_ARGS> threadgroup{};
};

void define_encoder();
Class *encoder_class();
double now();

}  // namespace sim
