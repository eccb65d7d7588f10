// process.h: the compiler as a child process, and files of the cache.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace metalsim {

// Runs a program to the end; its standard error goes to `messages`. Returns its exit status, -1 if it could not be run.
int run(const std::vector<std::string> &arguments, std::string &messages);

// Where this library, and with it the MSL headers and the cache of compiled kernels, is installed.
const std::string &home();
std::string cache_path(const std::string &name);

// Path of clang++, or "" (then `why` says what to install), and its version as part of cache keys.
const std::string &clang(std::string &why);

bool read_file(const std::string &path, std::string &out);
// Writes a file so that others see all of it or nothing.
bool write_file(const std::string &path, std::string_view contents);
// A name for a temporary file in the cache's folder; publish() renames it.
std::string temporary(const std::string &suffix);
bool publish(const std::string &temporary_path, const std::string &path);

class Hash {
 public:
  void add(std::string_view s);
  void add(uint64_t v) { add(std::string_view((const char *)&v, sizeof v)); }
  std::string hex() const;
  uint64_t value() const { return a_; }

 private:
  uint64_t a_ = 0xcbf29ce484222325, b_ = 0x9e3779b97f4a7c15;
};

}  // namespace metalsim
