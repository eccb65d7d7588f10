// flight.h: what command buffers touch between commit and completion, and what else touches it meanwhile. Mode check only.
#pragma once

#include "command.h"

namespace sim {

// Bytes that one dispatch, or several of one kernel, read or wrote.
struct Touch {
  uint64_t begin, end;  // addresses: hazards are of memory, whichever buffer object it is reached through
  const Buffer *buffer;
  const std::string *kernel;
  bool write;
};

// One encoder's touches, by address.
struct Pass {
  std::vector<Touch> touches;
  std::vector<uint64_t> reach;  // the highest end so far
  bool loose = false;           // some are of buffers that Metal does not order, or not together with all of their memory

  void index();
};

// What a buffer has to hold while its command buffer is in flight, unless the CPU writes to it.
struct Watch {
  const Buffer *buffer;
  std::vector<char> bytes;
  std::vector<metalsim_range> changed;  // by the CPU, between commit and start; addresses
};

class Flight {
 public:
  // Nullptr when no kernel of the command buffer was compiled in mode check.
  static std::shared_ptr<Flight> commit(CommandBuffer *cb);
  // Before its first dispatch, and after its last.
  void start();
  void finish();
  void begin_encoder();
  // Runs a dispatch, with no other and no comparison beside it, and takes down what it touched.
  metalsim_report *dispatch(const Command &c, const Bound *bound, const metalsim_dispatch_args &a);
  // The client learns now that this command buffer, and so all earlier ones of its queue, have completed.
  void completed();
  // A buffer is about to be destroyed.
  static void forget(const Buffer *b);

 private:
  static constexpr uint64_t kNever = ~0ull;
  std::shared_ptr<Worker> queue_;
  uint64_t committed_ = 0, known_ = kNever;
  bool executed_ = false;
  std::vector<Watch> watches_;
  std::vector<Pass> passes_;

  void find_hazards() const;
  void compare();
  static void prune();
};

}  // namespace sim
