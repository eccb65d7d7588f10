// capture.cpp: MTLCaptureManager. A capture is a text file with one line per executed dispatch.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "metal.h"

namespace sim {
namespace {

struct CaptureDescriptor : Object {
  CaptureDescriptor();
  Ref<Object> object;
  Ref<URL> url;
  int64_t destination = 1;
};

struct {
  Class *manager, *descriptor;
} classes;

struct {
  std::mutex mutex;
  std::FILE *file = nullptr;
} running;

enum { kToDocument = 2 };                                                   // MTLCaptureDestination
enum { kNotSupported = 1, kAlreadyCapturing = 2, kInvalidDescriptor = 3 };  // MTLCaptureError

bool allowed() {
  const char *v = std::getenv("METAL_CAPTURE_ENABLED");
  return v != nullptr && v[0] == '1';
}

bool start(Object *, SEL, CaptureDescriptor *d, Object **error) {
  auto fail = [&](int code, const char *why) { return set_error(error, "MTLCaptureError", code, why), false; };
  std::lock_guard lock(running.mutex);
  if (running.file != nullptr) return fail(kAlreadyCapturing, "already capturing");
  if (!allowed() || d->destination != kToDocument) return fail(kNotSupported, "capturing is not supported");
  if (!d->object || !d->url || access(d->url->path.c_str(), F_OK) == 0) return fail(kInvalidDescriptor, "the descriptor has no object or URL, or the URL exists");
  running.file = std::fopen(d->url->path.c_str(), "w");
  if (running.file == nullptr) return fail(kInvalidDescriptor, "the URL cannot be written");
  return true;
}

}  // namespace

CaptureDescriptor::CaptureDescriptor() : Object(classes.descriptor) {}

bool capturing() {
  std::lock_guard lock(running.mutex);
  return running.file != nullptr;
}

void capture_line(const std::string &line) {
  std::lock_guard lock(running.mutex);
  if (running.file != nullptr) std::fprintf(running.file, "%s\n", line.c_str());
}

void define_capture() {
  struct Manager : Object {
    Manager() : Object(classes.manager) {}
  };
  Class *c = classes.manager = define_class("MTLCaptureManager", root_class());
  add(c->isa, "sharedCaptureManager", "@", +[](Class *, SEL) -> Object * {
    static Object *shared = [] {
      Object *m = new Manager;
      make_immortal(m);
      return m;
    }();
    return shared;
  });
  add(c, "supportsDestination:", "Bq", +[](Object *, SEL, int64_t d) { return d == kToDocument && allowed(); });
  add(c, "isCapturing", "B", +[](Object *, SEL) { return capturing(); });
  add(c, "startCaptureWithDescriptor:error:", "B@^", start);
  add(c, "stopCapture", "v", +[](Object *, SEL) {
    std::lock_guard lock(running.mutex);
    if (running.file != nullptr) std::fclose(running.file);
    running.file = nullptr;
  });

  Class *d = classes.descriptor = define_class("MTLCaptureDescriptor", root_class());
  d->create = +[]() -> Object * { return new CaptureDescriptor; };
  add(d, "setCaptureObject:", "v@", +[](CaptureDescriptor *self, SEL, Object *o) { self->object = Ref<Object>(o); });
  add(d, "setDestination:", "vq", +[](CaptureDescriptor *self, SEL, int64_t v) { self->destination = v; });
  add(d, "setOutputURL:", "v@", +[](CaptureDescriptor *self, SEL, URL *u) { self->url = Ref<URL>(u); });
}

}  // namespace sim
