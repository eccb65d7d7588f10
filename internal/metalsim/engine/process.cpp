#include "process.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

extern char **environ;

namespace metalsim {

int run(const std::vector<std::string> &arguments, std::string &messages) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // The caller may block signals that a compiler wants.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char *> argv;
  for (auto &a : arguments) argv.push_back(const_cast<char *>(a.c_str()));
  argv.push_back(nullptr);
  pid_t child;
  int failed = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (failed) {
    close(ends[0]);
    messages = std::string(argv[0]) + ": " + std::strerror(failed);
    return -1;
  }
  char buffer[4096];
  for (;;) {
    ssize_t n = read(ends[0], buffer, sizeof buffer);
    if (n > 0) messages.append(buffer, (size_t)n);
    else if (n == 0 || errno != EINTR) break;
  }
  close(ends[0]);
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const std::string &home() {
  static const std::string path = [] {
    Dl_info info;
    if (!dladdr((const void *)&home, &info) || !info.dli_fname) return std::string(".");
    char *real = realpath(info.dli_fname, nullptr);
    std::string p = real ? real : info.dli_fname;
    std::free(real);
    return p.substr(0, p.rfind('/'));
  }();
  return path;
}

std::string cache_path(const std::string &name) {
  static const std::string folder = [] {
    std::string f = home() + "/compiled";
    mkdir(f.c_str(), 0777);
    return f;
  }();
  return folder + "/" + name;
}

const std::string &clang(std::string &why) {
  static std::string path, message;
  static std::once_flag once;
  std::call_once(once, [] {
    std::vector<std::string> names = {"clang++-19"};
    if (const char *chosen = std::getenv("METALSIM_CLANG")) names = {chosen};
    for (auto &name : names) {
      std::string ignored;
      if (run({name, "--version"}, ignored) == 0) {
        path = name;
        return;
      }
    }
    message = "metalsim needs clang 19 to compile Metal kernels: install the packages in internal/metalsim/packages.txt, or set METALSIM_CLANG";
  });
  why = message;
  return path;
}

bool read_file(const std::string &path, std::string &out) {
  FILE *f = std::fopen(path.c_str(), "rbe");
  if (!f) return false;
  out.clear();
  char buffer[65536];
  size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, f)) > 0) out.append(buffer, n);
  bool ok = !std::ferror(f);
  std::fclose(f);
  return ok;
}

std::string temporary(const std::string &suffix) {
  static std::atomic<unsigned> counter;
  return cache_path("tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++) + suffix);
}

bool publish(const std::string &from, const std::string &path) {
  if (std::rename(from.c_str(), path.c_str()) == 0) return true;
  unlink(from.c_str());
  return false;
}

bool write_file(const std::string &path, std::string_view contents) {
  std::string t = temporary(".part");
  FILE *f = std::fopen(t.c_str(), "wbe");
  if (!f) return false;
  bool ok = std::fwrite(contents.data(), 1, contents.size(), f) == contents.size();
  ok = std::fclose(f) == 0 && ok;
  if (!ok) {
    unlink(t.c_str());
    return false;
  }
  return publish(t, path);
}

// Two FNV-1a style hashes side by side: 128 bits are enough to name a cache entry.
void Hash::add(std::string_view s) {
  for (unsigned char c : s) {
    a_ = (a_ ^ c) * 0x100000001b3;
    b_ = (b_ + c) * 0xff51afd7ed558ccd;
    b_ ^= b_ >> 29;
  }
  a_ = (a_ ^ s.size()) * 0x100000001b3;
  b_ ^= a_ >> 7;
}

std::string Hash::hex() const {
  char b[40];
  std::snprintf(b, sizeof b, "%016lx%016lx", (unsigned long)a_, (unsigned long)b_);
  return b;
}

}  // namespace metalsim
