// foundation.cpp: NSObject, NSString, NSNumber-free NSArray and NSDictionary, NSURL, NSError.
#include "foundation.h"

#include "control.h"

namespace sim {
namespace {

struct {
  Class *object, *string, *array, *dictionary, *url, *error;
} classes;

void define_object() {
  Class *c = classes.object = define_class("NSObject", nullptr);
  add(c, "init", "@", +[](Object *self, SEL) { return self; });
  add(c, "retain", "@", +[](Object *self, SEL) { return retain(self); });
  add(c, "release", "v", +[](Object *self, SEL) { release(self); });
  add(c, "autorelease", "@", +[](Object *self, SEL) { return autorelease(self); });
  add(c, "retainCount", "Q", +[](Object *self, SEL) { return static_cast<uint64_t>(self->references.load()); });
  add(c, "hash", "Q", +[](Object *self, SEL) { return reinterpret_cast<uint64_t>(self); });
  add(c, "isEqual:", "B@", +[](Object *self, SEL, Object *other) { return self == other; });
  add(c, "description", "@", +[](Object *self, SEL) -> Object * { return autorelease(new String(std::string("<") + self->isa->name + ">")); });
  add(c, "respondsToSelector:", "B:", +[](Object *self, SEL, SEL s) { return s != nullptr && self->isa->find(s) != nullptr; });
  auto create = +[](Class *self, SEL) -> Object * {
    if (self->create != nullptr) return self->create();
    violation(Kind::kArgument, std::string("+[") + self->name + " alloc]: instances are not made this way");
    return nullptr;
  };
  add(c->isa, "alloc", "@", create);
  add(c->isa, "new", "@", create);
}

// UTF-8 as Unicode defines it: shortest forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(const char *text) {
  auto *s = reinterpret_cast<const unsigned char *>(text);
  while (*s) {
    if (*s < 0x80) {
      s++;
      continue;
    }
    int more = *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1;
    if (*s < 0xc2 || *s > 0xf4) return false;
    unsigned char low = *s == 0xe0 ? 0xa0 : *s == 0xf0 ? 0x90 : 0x80, high = *s == 0xed ? 0x9f : *s == 0xf4 ? 0x8f : 0xbf;
    for (s++; more > 0; more--, s++, low = 0x80, high = 0xbf)
      if (*s < low || *s > high) return false;
  }
  return true;
}

void define_string() {
  Class *c = classes.string = define_class("NSString", classes.object);
  add(c->isa, "string", "@", +[](Class *, SEL) -> Object * { return autorelease(new String("")); });
  add(c->isa, "stringWithUTF8String:", "@*", +[](Class *, SEL, const char *s) -> Object * {
    if (s == nullptr) {
      violation(Kind::kArgument, "+[NSString stringWithUTF8String:]: NULL");
      return nullptr;
    }
    return is_utf8(s) ? autorelease(new String(s)) : nullptr;
  });
  add(c, "UTF8String", "*", +[](String *self, SEL) { return self->text.c_str(); });
  add(c, "length", "Q", +[](String *self, SEL) -> uint64_t {
    uint64_t units = 0;  // UTF-16
    for (unsigned char b : self->text) units += (b & 0xc0) != 0x80 ? (b >= 0xf0 ? 2 : 1) : 0;
    return units;
  });
  add(c, "isEqualToString:", "B@", +[](String *self, SEL, String *other) { return other != nullptr && self->text == other->text; });
}

void define_collections() {
  Class *a = classes.array = define_class("NSArray", classes.object);
  add(a, "count", "Q", +[](Array *self, SEL) -> uint64_t { return self->items.size(); });
  add(a, "objectAtIndex:", "@Q", +[](Array *self, SEL, uint64_t i) -> Object * {
    if (i < self->items.size()) return self->items[i].get();
    violation(Kind::kArgument, "-[NSArray objectAtIndex:]: index beyond the end");
    return nullptr;
  });

  Class *d = classes.dictionary = define_class("NSDictionary", classes.object);
  add(d->isa, "dictionaryWithObjects:forKeys:count:", "@^^Q", +[](Class *, SEL, Object **values, Object **keys, uint64_t n) -> Object * {
    std::vector<std::pair<Ref<Object>, Ref<Object>>> items;
    for (uint64_t i = 0; i < n; i++) {
      if (keys[i] == nullptr || values[i] == nullptr) {
        violation(Kind::kArgument, "+[NSDictionary dictionaryWithObjects:forKeys:count:]: nil key or value");
        return nullptr;
      }
      items.emplace_back(Ref<Object>(keys[i]), Ref<Object>(values[i]));
    }
    return autorelease(new Dictionary(std::move(items)));
  });
  add(d, "count", "Q", +[](Dictionary *self, SEL) -> uint64_t { return self->items.size(); });
}

void define_url_and_error() {
  Class *u = classes.url = define_class("NSURL", classes.object);
  add(u->isa, "fileURLWithPath:", "@@", +[](Class *, SEL, Object *path) -> Object * {
    const std::string *p = text_of(path, "+[NSURL fileURLWithPath:]");
    return p ? autorelease(new URL(*p)) : nullptr;
  });
  add(u, "fileSystemRepresentation", "*", +[](URL *self, SEL) { return self->path.c_str(); });

  Class *e = classes.error = define_class("NSError", classes.object);
  add(e, "domain", "@", +[](Error *self, SEL) -> Object * { return autorelease(new String(self->domain)); });
  add(e, "code", "q", +[](Error *self, SEL) { return self->code; });
  add(e, "localizedDescription", "@", +[](Error *self, SEL) -> Object * { return autorelease(new String(self->description)); });
}

}  // namespace

String::String(std::string s) : Object(classes.string), text(std::move(s)) {}
Array::Array(std::vector<Ref<Object>> i) : Object(classes.array), items(std::move(i)) {}
Dictionary::Dictionary(std::vector<std::pair<Ref<Object>, Ref<Object>>> i) : Object(classes.dictionary), items(std::move(i)) {}
URL::URL(std::string p) : Object(classes.url), path(std::move(p)) {}
Error::Error(std::string d, int64_t c, std::string t) : Object(classes.error), domain(std::move(d)), description(std::move(t)), code(c) {}

void set_error(Object **out, const char *domain, int64_t code, std::string description) {
  if (out != nullptr) *out = autorelease(new Error(domain, code, std::move(description)));
}

const std::string *text_of(Object *o, const char *method) {
  auto *s = dynamic_cast<String *>(o);
  if (s == nullptr) {
    violation(Kind::kArgument, std::string(method) + ": the argument is " + (o ? "not an NSString" : "nil"));
    return nullptr;
  }
  return &s->text;
}

Object *text_or_nil(const std::string &s) { return s.empty() ? nullptr : autorelease(new String(s)); }

void define_foundation() {
  define_object();
  define_string();
  define_collections();
  define_url_and_error();
}

}  // namespace sim
