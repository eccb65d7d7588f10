// report.cpp: violations in words.
#include <cstdio>

#include "dispatch.h"

namespace metalsim {

namespace {

const char *kind_name(uint32_t kind) {
  switch (kind) {
    case METALSIM_RACE_SIMDGROUP: return "race between lanes of a SIMD-group";
    case METALSIM_RACE_THREADGROUP: return "race between threads of a threadgroup";
    case METALSIM_RACE_DISPATCH: return "race between threadgroups";
    case METALSIM_BARRIER_DIVERGENCE: return "barrier in divergent flow";
    case METALSIM_SIMD_DIVERGENCE: return "SIMD-group operation in divergent flow";
    case METALSIM_OUT_OF_BOUNDS: return "out of bounds";
    case METALSIM_ARRAY_BOUNDS: return "array index out of bounds";
    case METALSIM_UNINITIALISED: return "uninitialised threadgroup memory";
    case METALSIM_MISALIGNED: return "misaligned access";
    case METALSIM_READ_ONLY_WRITE: return "write to constant memory";
    case METALSIM_UNBOUND: return "nothing bound";
    case METALSIM_THREADGROUP_MEMORY: return "threadgroup memory";
    case METALSIM_THREAD_COUNT: return "thread count";
    case METALSIM_BAD_OFFSET: return "binding offset";
    case METALSIM_ARITHMETIC: return "undefined arithmetic";
    case METALSIM_LANE: return "lane out of range";
    case METALSIM_WRAPPED_INDEX: return "wrapped index";
    case METALSIM_NAN: return "NaN produced";
    case METALSIM_UNINITIALISED_VALUE: return "uninitialised variable";
  }
  return "violation";
}

metalsim_position position(uint32_t serial, uint32_t thread) {
  metalsim_position p = {};
  uint32_t i = serial - the.serial_base;
  if (i < the.order.size()) i = the.order[i];
  p.threadgroup[0] = i % the.groups[0];
  p.threadgroup[1] = i / the.groups[0] % the.groups[1];
  p.threadgroup[2] = i / the.groups[0] / the.groups[1];
  uint32_t x = (uint32_t)the.args->threads_per_threadgroup[0], y = (uint32_t)the.args->threads_per_threadgroup[1];
  p.thread[0] = thread % x;
  p.thread[1] = thread / x % y;
  p.thread[2] = thread / x / y;
  p.simdgroup = thread / 32;
  p.lane = thread % 32;
  return p;
}

void describe(std::string &out, const metalsim_position &p) {
  char b[160];
  std::snprintf(b, sizeof b, "threadgroup (%u,%u,%u) thread (%u,%u,%u) SIMD-group %u lane %u", p.threadgroup[0], p.threadgroup[1], p.threadgroup[2], p.thread[0], p.thread[1], p.thread[2], p.simdgroup, p.lane);
  out += b;
}

}  // namespace

void violation(metalsim_violation_kind kind, uint32_t site, const std::string &message, const Region *region, uint64_t offset, int64_t other_site, Place other) {
  metalsim_report &r = *the.report;
  auto [it, fresh] = r.known.try_emplace({(uint32_t)kind, site, (uint32_t)other_site}, r.violations.size());
  if (!fresh) {
    r.violations[it->second].count++;
    return;
  }
  metalsim_violation v = {};
  v.kind = kind;
  v.kind_name = kind_name(kind);
  v.message = r.keep(message);
  v.kernel = r.kernel.c_str();
  v.file = "";
  if (site < the.kernel->module.sites.size()) {
    const Site &s = the.kernel->module.sites[site];
    v.file = r.keep(s.file);
    v.line = (uint32_t)s.line;
    v.column = (uint32_t)s.column;
  }
  v.buffer = region ? region->buffer : -1;
  v.threadgroup_index = region ? region->threadgroup : -1;
  v.offset = offset;
  v.count = 1;
  if (the.current) {
    v.where = position(the.serial, the.current->self.index_in_threadgroup);
    const msl_thread &t = the.current->self;   // exact for edge threadgroups too
    v.where.thread[0] = t.position_in_threadgroup.x;
    v.where.thread[1] = t.position_in_threadgroup.y;
    v.where.thread[2] = t.position_in_threadgroup.z;
  }
  if (other_site >= 0) {
    const Site &s = the.kernel->module.sites[(size_t)other_site];
    v.other_file = r.keep(s.file);
    v.other_line = (uint32_t)s.line;
    v.other_column = (uint32_t)s.column;
    v.other = position(other.serial, other.thread);
  }
  r.violations.push_back(v);
}

void finish_report() {
  metalsim_report &r = *the.report;
  for (auto &v : r.violations) {
    std::string &t = r.text;
    if (v.line) t += std::string(v.file) + ":" + std::to_string(v.line) + ":" + std::to_string(v.column) + ": ";
    t += std::string("error: ") + v.kind_name + ": " + v.message + " [kernel " + v.kernel;
    if (v.line) {
      t += ", ";
      describe(t, v.where);
    }
    if (v.other_file) {
      t += "; the other access is at " + std::string(v.other_file) + ":" + std::to_string(v.other_line) + ":" + std::to_string(v.other_column) + ", ";
      describe(t, v.other);
    }
    t += "]";
    if (v.count > 1) t += " (" + std::to_string(v.count) + " times)";
    t += "\n";
  }
}

}  // namespace metalsim
