// foundation.h: the Foundation classes Metal's interface needs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "objc.h"

namespace sim {

struct String : Object {
  explicit String(std::string s);
  std::string text;
};

struct Array : Object {
  explicit Array(std::vector<Ref<Object>> items);
  std::vector<Ref<Object>> items;
};

struct Dictionary : Object {
  explicit Dictionary(std::vector<std::pair<Ref<Object>, Ref<Object>>> items);
  std::vector<std::pair<Ref<Object>, Ref<Object>>> items;  // key, value
};

struct URL : Object {
  explicit URL(std::string path);
  std::string path;
};

struct Error : Object {
  Error(std::string domain, int64_t code, std::string description);
  std::string domain, description;
  int64_t code;
};

// Stores an autoreleased NSError where the client asked for it.
void set_error(Object **out, const char *domain, int64_t code, std::string description);

// The text of an NSString argument; records a violation and returns nullptr when it is nil or not a string.
const std::string *text_of(Object *o, const char *method);

// An autoreleased NSString, nil for an empty text.
Object *text_or_nil(const std::string &s);

void define_foundation();

}  // namespace sim
