// check.cpp: every access of a kernel to device, constant and threadgroup memory comes through here in mode CHECK (and the
// rare ones in mode COUNT): bounds, alignment, initialisation, races, and which bytes were touched.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dispatch.h"

extern "C" METALSIM_API unsigned msl_nan_read;   // named by the code that the build adds (instrument.cpp)
unsigned msl_nan_read;

namespace metalsim {

// What is known of the accesses to one granule of memory. Together this is exact within a threadgroup: the last write, and
// all reads since the last barrier as far as a later write can conflict with them.
struct Cell {
  uint32_t write_group, write_epoch, write_simd_epoch, write_site;
  uint32_t read_group, read_epoch, read_simd_epoch, read_lanes, read_site;
  uint16_t write_thread;
  uint8_t read_simdgroup;
  bool write_atomic;
  bool reads_atomic;          // all of them
  bool many_simdgroups;       // readers in more than one SIMD-group since the last threadgroup barrier
  bool many_threadgroups;     // readers in more than one threadgroup of this dispatch
};

constexpr uint32_t kCellsPerPage = 1024;

// Cells of a stretch of memory, made when first touched.
struct Shadow {
  char *base;
  uint64_t length;
  uint32_t granule_shift;
  std::vector<Cell *> pages;

  Cell &cell(uint64_t offset);
};

namespace {

// Pages of cells are kept from dispatch to dispatch: threadgroup numbers never repeat, so old contents mean nothing.
std::vector<Cell *> free_pages;
std::vector<std::unique_ptr<Shadow>> shadows;

std::vector<unsigned long *> free_bitmaps;
std::vector<unsigned long *> page_tables[2][METALSIM_MAX_BUFFERS];

alignas(64) char sink[256];    // where wrong accesses go
alignas(64) char inactive[256];   // what arguments that are switched off read: NaNs
std::vector<uint8_t> initialised;   // of threadgroup memory

constexpr uint64_t kLow = (1ull << MSL_TAG_SHIFT) - 1;

unsigned long *bitmap() {
  if (free_bitmaps.empty()) return (unsigned long *)std::calloc(MSL_PAGE_WORDS, sizeof(unsigned long));
  unsigned long *b = free_bitmaps.back();
  free_bitmaps.pop_back();
  std::memset(b, 0, MSL_PAGE_WORDS * sizeof(unsigned long));
  return b;
}

void mark(std::vector<unsigned long *> &pages, uint64_t offset, uint64_t size) {
  while (size) {
    unsigned long *&page = pages[offset >> MSL_PAGE_SHIFT];
    if (!page) page = bitmap();
    uint64_t bit = offset & 63, n = std::min<uint64_t>(size, 64 - bit);
    page[(offset & ((1ul << MSL_PAGE_SHIFT) - 1)) >> 6] |= (n == 64 ? ~0ul : (1ul << n) - 1) << bit;
    offset += n;
    size -= n;
  }
}

const char *place_name(const Region &r, char *b, size_t n) {
  if (r.buffer >= 0) std::snprintf(b, n, "buffer %d", r.buffer);
  else if (r.threadgroup >= 0) std::snprintf(b, n, "threadgroup memory %d", r.threadgroup);
  else std::snprintf(b, n, "threadgroup variable '%s'", r.name.c_str());
  return b;
}

void race(metalsim_violation_kind kind, const Region &r, uint64_t offset, uint32_t site, bool write, bool other_wrote, uint32_t other_site, Place other) {
  char b[160], p[96];
  std::snprintf(b, sizeof b, "%s conflicts with a %s by another %s: %s, byte %lu", write ? "write" : "read", other_wrote ? "write" : "read",
                kind == METALSIM_RACE_DISPATCH ? "threadgroup" : kind == METALSIM_RACE_SIMDGROUP ? "lane of the SIMD-group" : "thread of the threadgroup", place_name(r, p, sizeof p), (unsigned long)offset);
  violation(kind, site, b, &r, offset, other_site, other);
}

void check_race(const Region &r, uint64_t offset, uint64_t size, uint32_t site, bool write, bool atomic) {
  Shadow &s = *r.shadow;
  const uint32_t group = the.serial, thread = the.current->self.index_in_threadgroup, simdgroup = thread / 32, lane = thread & 31;
  const uint32_t epoch = the.group_epoch[r.memory], simd_epoch = the.simd_epoch[simdgroup][r.memory];
  const uint64_t begin = (r.shadow_offset + offset) >> s.granule_shift, end = (r.shadow_offset + offset + size - 1) >> s.granule_shift;
  for (uint64_t i = begin; i <= end; i++) {
    Cell &c = s.cell(i);
    // The last write. Threadgroup memory of an earlier threadgroup is gone.
    bool written = r.memory == kDevice ? c.write_group >= the.serial_base : c.write_group == group;
    if (written && !(atomic && c.write_atomic)) {
      Place other = {c.write_group, c.write_thread};
      if (c.write_group != group) race(METALSIM_RACE_DISPATCH, r, offset, site, write, true, c.write_site, other);
      else if (c.write_epoch == epoch && c.write_thread != thread) {
        if (c.write_thread / 32u != simdgroup) race(METALSIM_RACE_THREADGROUP, r, offset, site, write, true, c.write_site, other);
        else if (c.write_simd_epoch == simd_epoch) race(METALSIM_RACE_SIMDGROUP, r, offset, site, write, true, c.write_site, other);
      }
    }
    bool read = r.memory == kDevice ? c.read_group >= the.serial_base : c.read_group == group;
    if (write) {
      if (read && !(atomic && c.reads_atomic)) {
        uint32_t others = c.read_lanes & ~(c.read_simdgroup == simdgroup ? 1u << lane : 0u);
        Place other = {c.read_group, c.read_simdgroup * 32u + (others ? (uint32_t)__builtin_ctz(others) : 0)};
        if (c.many_threadgroups || c.read_group != group) race(METALSIM_RACE_DISPATCH, r, offset, site, true, false, c.read_site, other);
        else if (c.read_epoch == epoch) {
          if (c.many_simdgroups || c.read_simdgroup != simdgroup) race(METALSIM_RACE_THREADGROUP, r, offset, site, true, false, c.read_site, other);
          else if (c.read_simd_epoch == simd_epoch && others) race(METALSIM_RACE_SIMDGROUP, r, offset, site, true, false, c.read_site, other);
        }
      }
      // A thread's plain write stays a plain write when the same thread follows it with an atomic one.
      bool same = written && c.write_group == group && c.write_epoch == epoch && c.write_thread == thread;
      c.write_atomic = atomic && (!same || c.write_atomic);
      c.write_group = group;
      c.write_epoch = epoch;
      c.write_simd_epoch = simd_epoch;
      c.write_thread = (uint16_t)thread;
      c.write_site = site;
      if (!atomic) continue;   // an atomic read-modify-write is a write to the checks
    } else {
      bool fresh = !read;
      bool moved = read && c.read_group != group;
      if (fresh || moved || c.read_epoch != epoch) {
        c.many_threadgroups = !fresh && (moved || c.many_threadgroups);
        c.reads_atomic = atomic && (fresh || c.reads_atomic);
        c.many_simdgroups = false;
        c.read_group = group;
        c.read_epoch = epoch;
        c.read_simdgroup = (uint8_t)simdgroup;
        c.read_simd_epoch = simd_epoch;
        c.read_lanes = 1u << lane;
        c.read_site = site;
      } else {
        c.reads_atomic = c.reads_atomic && atomic;
        if (c.read_simdgroup != simdgroup) {
          c.many_simdgroups = true;
        } else if (c.read_simd_epoch != simd_epoch) {
          c.read_simd_epoch = simd_epoch;
          c.read_lanes = 1u << lane;
          c.read_site = site;
        } else {
          c.read_lanes |= 1u << lane;
        }
      }
    }
  }
}

// The arrays of a thread's own that it has made pointers to.
struct Local {
  char *base;
  uint64_t size;
};
constexpr unsigned kLocals = 64;
Local locals[kMaxThreads][kLocals];

const Local *find_local(uint64_t tag) {
  const Thread &t = *the.current;
  return tag - MSL_TAG_LOCAL < t.locals ? &locals[t.self.index_in_threadgroup][tag - MSL_TAG_LOCAL] : nullptr;
}

Region *find_region(uint64_t tag) {
  if (tag >= MSL_TAG_BUFFER && tag - MSL_TAG_BUFFER < (uint64_t)METALSIM_MAX_BUFFERS) return &the.buffers[tag - MSL_TAG_BUFFER];
  if (tag >= MSL_TAG_THREADGROUP && tag - MSL_TAG_THREADGROUP < the.memories.size()) return &the.memories[tag - MSL_TAG_THREADGROUP];
  if (tag >= MSL_TAG_VARIABLE && tag - MSL_TAG_VARIABLE < the.variables.size()) return &the.variables[tag - MSL_TAG_VARIABLE];
  return nullptr;
}

// The real address of [pointer, pointer + size), or nullptr after a violation.
char *resolve(void *pointer, uint64_t size, uint32_t site, bool write) {
  const Site &s = the.kernel->module.sites[site];
  uint64_t address = (uint64_t)pointer, tag = address >> MSL_TAG_SHIFT;
  if (tag == 0) {
    if (address >= 65536) return (char *)pointer;   // the thread's own memory
    violation(METALSIM_UNBOUND, site, std::string(write ? "write" : "read") + " through a null pointer: nothing is bound to that argument");
    return nullptr;
  }
  // Switched off by a function constant: kernels may name the argument in code whose results they do not use.
  if (tag - MSL_TAG_INACTIVE < (uint64_t)METALSIM_MAX_BUFFERS && !write) {
    msl_note_nan();
    return inactive;
  }
  if (tag >= MSL_TAG_LOCAL) {
    const Local *l = find_local(tag);
    uint64_t offset = (address & kLow) - (l ? (uint64_t)l->base : 0);
    if (l && size <= l->size && offset <= l->size - size) return l->base + offset;
    char b[160];
    std::snprintf(b, sizeof b, "%s of %lu bytes at offset %ld of an array of the thread that has %lu bytes", write ? "write" : "read", (unsigned long)size, (long)offset, l ? (unsigned long)l->size : 0);
    violation(METALSIM_OUT_OF_BOUNDS, site, b);
    return nullptr;
  }
  Region *r = find_region(tag);
  if (!r) {
    char b[96];
    std::snprintf(b, sizeof b, "%s of %lu bytes through a wild pointer", write ? "write" : "read", (unsigned long)size);
    violation(METALSIM_OUT_OF_BOUNDS, site, b);
    return nullptr;
  }
  uint64_t offset = (address & kLow) - (r->memory == kThreadgroup ? MSL_THREADGROUP_ORIGIN : (uint64_t)r->base & kLow);
  if (size > r->length || offset > r->length - size) {
    char b[200], p[96];
    std::snprintf(b, sizeof b, "%s of %lu bytes at offset %ld of %s, which has %lu bytes", write ? "write" : "read", (unsigned long)size, (long)offset, place_name(*r, p, sizeof p), (unsigned long)r->length);
    violation(METALSIM_OUT_OF_BOUNDS, site, b, r, offset);
    return nullptr;
  }
  char *real = r->base + offset;
  if (r->buffer >= 0) {
    msl_region &counted = msl_regions[MSL_TAG_BUFFER + r->buffer];
    (write ? counted.written : counted.read) += size;
    mark(page_tables[write][r->buffer], offset, size);
    if (s.read && write) {
      counted.read += size;
      mark(page_tables[0][r->buffer], offset, size);
    }
  }
  if (write && r->read_only) {
    char p[96];
    violation(METALSIM_READ_ONLY_WRITE, site, std::string("write to ") + place_name(*r, p, sizeof p) + ", which the kernel takes as constant", r, offset);
    return nullptr;
  }
  if (!the.checking) return real;
  if ((uint64_t)real % s.align) {
    char b[200], p[96];
    std::snprintf(b, sizeof b, "%s of a type aligned to %u bytes at offset %lu of %s", write ? "write" : "read", s.align, (unsigned long)offset, place_name(*r, p, sizeof p));
    violation(METALSIM_MISALIGNED, site, b, r, offset);
  }
  if (r->memory == kThreadgroup) {
    uint8_t *valid = initialised.data() + (real - (char *)threadgroup_arena().data());
    if ((!write || s.read) && std::memchr(valid, 0, size)) {
      char b[200], p[96];
      std::snprintf(b, sizeof b, "read of %lu bytes at offset %lu of %s, which no thread of this threadgroup has written", (unsigned long)size, (unsigned long)offset, place_name(*r, p, sizeof p));
      violation(METALSIM_UNINITIALISED, site, b, r, offset);
    }
    if (write) std::memset(valid, 1, size);
  }
  if (r->shadow) check_race(*r, offset, size, site, write, s.atomic);
  return real;
}

}  // namespace

Cell &Shadow::cell(uint64_t i) {
  Cell *&page = pages[i / kCellsPerPage];
  if (!page) {
    if (free_pages.empty()) page = (Cell *)std::calloc(kCellsPerPage, sizeof(Cell));
    else page = free_pages.back(), free_pages.pop_back();
  }
  return page[i % kCellsPerPage];
}

std::vector<uint8_t> &threadgroup_arena() {
  static std::vector<uint8_t> memory((METALSIM_MAX_THREADGROUP_MEMORY + 4096) * 2);
  return memory;
}

namespace {

Shadow *make_shadow(char *base, uint64_t length, uint32_t granule) {
  auto s = std::make_unique<Shadow>();
  s->base = base;
  s->length = length;
  s->granule_shift = (uint32_t)__builtin_ctz(granule);
  s->pages.assign((length >> s->granule_shift) / kCellsPerPage + 1, nullptr);
  shadows.push_back(std::move(s));
  return shadows.back().get();
}

// Bindings that overlap share a shadow, and only what some argument may write needs one.
void make_buffer_shadows() {
  std::vector<Region *> all;
  for (auto &r : the.buffers)
    if (r.base && r.length) all.push_back(&r);
  std::sort(all.begin(), all.end(), [](Region *a, Region *b) { return a->base < b->base; });
  for (size_t i = 0; i < all.size();) {
    char *end = all[i]->base + all[i]->length;
    size_t k = i;
    bool written = false;
    while (k < all.size() && all[k]->base < end) {
      end = std::max(end, all[k]->base + all[k]->length);
      written |= !all[k]->read_only;
      k++;
    }
    if (written) {
      // Granules start at multiples of 4 of the address.
      char *base = (char *)((uint64_t)all[i]->base & ~15ull);
      Shadow *s = make_shadow(base, (uint64_t)(end - base), the.kernel->granule[kDevice]);
      for (size_t j = i; j < k; j++) {
        all[j]->shadow = s;
        all[j]->shadow_offset = (uint64_t)(all[j]->base - base);
      }
    }
    i = k;
  }
}

}  // namespace

void prepare_memory() {
  std::memset(inactive, 0xff, sizeof inactive);
  msl_nan_read = 0;
  const metalsim_kernel &k = *the.kernel;
  const metalsim_dispatch_args &a = *the.args;
  bool tagged = k.mode != METALSIM_MODE_PLAIN;
  for (unsigned i = 0; i < METALSIM_MAX_BUFFERS; i++) {
    const metalsim_binding &b = a.buffers[i];
    Region r;
    r.buffer = (int)i;
    r.read_only = true;
    bool used = false, off = false;
    for (auto &arg : k.args) {
      if (arg.kind != METALSIM_ARG_BUFFER || arg.index != i) continue;
      if (arg.active) {
        used = true;
        r.read_only = arg.read_only;
      } else {
        off = true;
      }
    }
    uint64_t offset = std::min(b.offset, b.length);
    if (b.contents && used) {
      r.base = (char *)b.contents + offset;
      r.length = b.length - offset;
    }
    the.buffers[i] = r;
    size_t pages = tagged ? (r.length >> MSL_PAGE_SHIFT) + 1 : 0;
    for (auto &table : {&page_tables[0][i], &page_tables[1][i]}) table->assign(pages, nullptr);
    msl_regions[MSL_TAG_BUFFER + i] = {r.base, r.length, 0, 0, page_tables[0][i].data(), page_tables[1][i].data()};
    msl_arguments.buffers[i] = tagged && off && !used ? (void *)((uint64_t)(MSL_TAG_INACTIVE + i) << MSL_TAG_SHIFT) : !r.base ? nullptr : tagged ? (void *)((uint64_t)r.base | (uint64_t)(MSL_TAG_BUFFER + i) << MSL_TAG_SHIFT) : r.base;
  }
  // Threadgroup memory: the kernel's variables, then the arguments.
  char *arena = (char *)(((uint64_t)threadgroup_arena().data() + 255) & ~255ull);
  bool check = k.mode == METALSIM_MODE_CHECK;
  uint64_t used = check ? (k.module.threadgroup_memory + 15) / 16 * 16 : 0;
  the.variables.clear();
  the.memories.assign(METALSIM_MAX_THREADGROUP_ARGS, Region());
  Shadow *shadow = check ? make_shadow(arena, METALSIM_MAX_THREADGROUP_MEMORY + 4096, k.granule[kThreadgroup]) : nullptr;
  auto place = [&](Region &r, uint64_t offset, uint64_t length) {
    r.memory = kThreadgroup;
    r.base = arena + offset;
    r.length = length;
    r.shadow = shadow;
    r.shadow_offset = offset;
  };
  for (auto &v : k.module.variables) {
    Region r;
    r.name = v.name;
    place(r, v.offset, v.size);
    the.variables.push_back(r);
  }
  for (unsigned i = 0; i < METALSIM_MAX_THREADGROUP_ARGS; i++) {
    uint64_t length = a.threadgroup_memory[i];
    msl_arguments.memories[i] = nullptr;
    the.memories[i].threadgroup = (int)i;
    if (!length) continue;
    place(the.memories[i], used, length);
    used += (length + 15) / 16 * 16;
    msl_arguments.memories[i] = check ? (void *)(MSL_THREADGROUP_ORIGIN | (uint64_t)(MSL_TAG_THREADGROUP + i) << MSL_TAG_SHIFT) : the.memories[i].base;
  }
  if (check) {
    initialised.assign(threadgroup_arena().size(), 0);
    make_buffer_shadows();
  }
}

void forget_shadows() {
  for (Cell *page : free_pages) std::free(page);
  free_pages.clear();
}

void begin_threadgroup_memory() {
  the.group_epoch[0] = the.group_epoch[1] = 1;
  std::memset(the.simd_epoch, 0, sizeof the.simd_epoch);
  if (the.kernel->mode != METALSIM_MODE_CHECK) return;
  std::memset(initialised.data(), 0, initialised.size());
  std::memset(threadgroup_arena().data(), 0xff, threadgroup_arena().size());   // NaNs, for who reads them anyway
}

void finish_memory() {
  metalsim_counters &c = the.report->counters;
  for (unsigned i = 0; i < METALSIM_MAX_BUFFERS; i++) {
    msl_region &r = msl_regions[MSL_TAG_BUFFER + i];
    metalsim_traffic &t = c.buffers[i];
    t.read = r.read;
    t.written = r.written;
    for (int write = 0; write < 2; write++) {
      uint64_t bytes = 0, origin = the.args->buffers[i].offset;
      auto &ranges = the.report->ranges[i][write];
      auto &pages = page_tables[write][i];
      for (size_t p = 0; p < pages.size(); p++) {
        if (!pages[p]) continue;
        for (unsigned w = 0; w < MSL_PAGE_WORDS; w++) {
          unsigned long bits = pages[p][w];
          if (!bits) continue;
          bytes += (uint64_t)__builtin_popcountl(bits);
          uint64_t base = origin + (p << MSL_PAGE_SHIFT) + w * 64ull;
          while (bits) {
            unsigned first = (unsigned)__builtin_ctzl(bits);
            unsigned long rest = ~(bits >> first);
            unsigned n = rest ? (unsigned)__builtin_ctzl(rest) : 64;
            if (first + n > 64) n = 64 - first;
            if (!ranges.empty() && ranges.back().end == base + first) ranges.back().end = base + first + n;
            else ranges.push_back({base + first, base + first + n});
            bits = first + n >= 64 ? 0 : bits & (~0ul << (first + n));
          }
        }
        free_bitmaps.push_back(pages[p]);
      }
      pages.clear();
      (write ? t.unique_written : t.unique_read) = bytes;
    }
    c.total.read += t.read;
    c.total.written += t.written;
    c.total.unique_read += t.unique_read;
    c.total.unique_written += t.unique_written;
    the.report->identities[i] = the.buffers[i].base ? the.args->buffers[i].identity : 0;
    the.report->addresses[i] = (uint64_t)the.args->buffers[i].contents;
  }
  for (auto &s : shadows)
    for (auto *p : s->pages)
      if (p) free_pages.push_back(p);
  shadows.clear();
}

}  // namespace metalsim

using namespace metalsim;

extern "C" {

METALSIM_API msl_region msl_regions[32];

METALSIM_API void *msl_access(void *pointer, unsigned site) {
  uint64_t address = (uint64_t)pointer, tag = address >> MSL_TAG_SHIFT;
  if (tag == 0 && address >= 65536) return pointer;
  const AccessSite &s = the.kernel->accesses[site];
  // The usual case, a correct access to a buffer, without calls. Anything else goes through resolve().
  if (tag - MSL_TAG_BUFFER < (uint64_t)METALSIM_MAX_BUFFERS && !(s.read && s.write)) {
    const Region &r = the.buffers[tag - MSL_TAG_BUFFER];
    uint64_t offset = (address & kLow) - (uint64_t)r.base, bit = offset & 63;
    if (offset + s.size <= r.length && offset < r.length && !(address & (s.align - 1)) && !(s.write && r.read_only) && bit + s.size <= 64) {
      msl_region &counted = msl_regions[tag];
      unsigned long *page = (s.write ? counted.written_pages : counted.read_pages)[offset >> MSL_PAGE_SHIFT];
      if (page) {
        page[(offset & ((1ul << MSL_PAGE_SHIFT) - 1)) >> 6] |= (s.size >= 64 ? ~0ul : (1ul << s.size) - 1) << bit;
        (s.write ? counted.written : counted.read) += s.size;
        if (r.shadow) check_race(r, offset, s.size, site, s.write, s.atomic);
        return r.base + offset;
      }
    }
  }
  char *real = resolve(pointer, s.size, site, s.write);
  if (real) return real;
  std::memset(sink, 0, sizeof sink);
  return sink;
}

METALSIM_API void *msl_count_slow(void *pointer, unsigned long size, unsigned write, unsigned site) {
  char *real = resolve(pointer, size, site, write);
  if (real) return real;
  std::memset(sink, 0, sizeof sink);
  return sink;
}

METALSIM_API void msl_note_nan() { msl_nan_read = 1; }

METALSIM_API void *msl_local(void *pointer, void *array, unsigned long size) {
  Thread &t = *the.current;
  Local *list = locals[t.self.index_in_threadgroup];
  unsigned i = 0;
  while (i < t.locals && (list[i].base != array || list[i].size != size)) i++;
  if (i == kLocals || (uint64_t)pointer >> MSL_TAG_SHIFT) return pointer;
  if (i == t.locals) list[t.locals++] = {(char *)array, size};
  return (void *)((uint64_t)pointer | (uint64_t)(MSL_TAG_LOCAL + i) << MSL_TAG_SHIFT);
}

METALSIM_API void msl_copy(void *to, void *from, unsigned long size, unsigned site_to, unsigned site_from) {
  if (!size) return;
  char *source = resolve(from, size, site_from, false), *target = resolve(to, size, site_to, true);
  if (!target) return;
  // Whatever may be a NaN in a struct counts as one.
  uint64_t tag = (uint64_t)from >> MSL_TAG_SHIFT;
  bool buffer = source && tag && tag < MSL_TAG_THREADGROUP;
  for (uint64_t i = 0; buffer && !msl_nan_read && i + 2 <= size; i += 2) {
    uint16_t word;
    std::memcpy(&word, source + i, 2);
    if ((word & 0x7fff) > 0x7c00) msl_note_nan();
  }
  if (source) std::memmove(target, source, size);
  else std::memset(target, 0, size);
}

METALSIM_API void msl_fill(void *to, unsigned char value, unsigned long size, unsigned site) {
  if (!size) return;
  if (char *target = resolve(to, size, site, true)) std::memset(target, value, size);
}

METALSIM_API void msl_undefined(unsigned kind, unsigned site) {
  static const struct {
    metalsim_violation_kind kind;
    const char *text;
  } list[] = {{METALSIM_ARRAY_BOUNDS, "index out of the bounds of an array"},
              {METALSIM_ARITHMETIC, "integer division by zero or overflow"},
              {METALSIM_ARITHMETIC, "shift by a negative amount or by the width of the type or more"},
              {METALSIM_ARITHMETIC, "floating-point value does not fit the integer type it is converted to"},
              {METALSIM_ARITHMETIC, "signed integer overflow"},
              {METALSIM_LANE, "lane past the end of the SIMD-group or quad-group"},
              {METALSIM_WRAPPED_INDEX, "the address was computed from an unsigned 32-bit product that did not fit"},
              {METALSIM_NAN, "a NaN is written though none was read: inf - inf, 0 * inf, 0 / 0 or the like, which fast math leaves undefined"},
              {METALSIM_UNINITIALISED_VALUE, "a value from a variable that was not initialised is written"}};
  violation(list[kind].kind, site, list[kind].text);
}
}
