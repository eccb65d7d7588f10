// entry.h: from the argument tables to the parameters of a kernel function. Types come from the function's type, attributes
// from the pre-pass, which emits one msl_call and one msl_reflect for each kernel.
#pragma once
#include "simdgroup_matrix.h"

namespace metal {
// Texture and sampler types only have to be names: a kernel that takes one is refused.
template <class T, int access = 0> struct texture2d;
template <class T, int access = 0> struct texture1d;
template <class T, int access = 0> struct texture3d;
template <class T, int access = 0> struct texture_buffer;
struct sampler;
}

// Built-in values; the letters are those of the pre-pass (attributes.cpp).
template <class T, char kind> MSL_INLINE T msl_built_in() {
  const msl_thread &t = *msl_current;
  const msl_threadgroup &g = msl_group;
  msl_uint3 v = {0, 0, 0};
  if constexpr (kind == 'p') v = t.position_in_threadgroup;
  else if constexpr (kind == 'g') v = t.threadgroup_position;
  else if constexpr (kind == 'G') v = t.position_in_grid;
  else if constexpr (kind == 'T') v = g.threads_per_threadgroup;
  else if constexpr (kind == 'D') v = g.dispatch_threads_per_threadgroup;
  else if constexpr (kind == 'n') v = g.threadgroups_per_grid;
  else if constexpr (kind == 'N') v = g.threads_per_grid;
  else if constexpr (kind == 'O') v = {0, 0, 0};
  else if constexpr (kind == 'f') v.x = t.index_in_threadgroup;
  else if constexpr (kind == 'l') v.x = t.lane;
  else if constexpr (kind == 's') v.x = t.simdgroup;
  else if constexpr (kind == 'S') v.x = g.simdgroups;
  else if constexpr (kind == 'E') v.x = g.dispatch_simdgroups;
  else if constexpr (kind == 'w') v.x = 32;
  else if constexpr (kind == 'q') v.x = t.lane & 3;
  else if constexpr (kind == 'Q') v.x = t.index_in_threadgroup / 4;
  else if constexpr (kind == 'R') v.x = (g.threads_per_threadgroup.x * g.threads_per_threadgroup.y * g.threads_per_threadgroup.z + 3) / 4;
  if constexpr (msl_vector<T>::size == 0) {
    return (T)v.x;
  } else {
    T r;
    r[0] = v.x;
    r[1] = v.y;
    if constexpr (msl_vector<T>::size > 2) r[2] = v.z;
    return r;
  }
}

// How one parameter of type T is reflected and fetched. The general case is a built-in value.
template <class T> struct msl_parameter {
  static constexpr bool is_buffer = false, is_threadgroup = false;
  static MSL_INLINE void describe(msl_argument &) {}
  template <char kind, int index> static MSL_INLINE T get() {
    static_assert(kind != 'b' && kind != 't', "a buffer parameter must be a pointer or reference in the device or constant address space, a threadgroup parameter one in the threadgroup address space");
    static_assert(msl_vector<T>::size > 0 ? __is_integral(typename msl_vector<T>::element) : __is_integral(T),
                  "a kernel parameter with a thread position attribute must be ushort, uint or a vector of them");
    return msl_built_in<T, kind>();
  }
};
template <class T> MSL_INLINE void msl_describe(msl_argument &a, bool read_only, bool constant_space, bool reference) {
  if constexpr (!__is_same(__remove_cv(T), void)) {
    a.element_size = sizeof(T);
    a.element_alignment = alignof(T);
  } else {
    a.element_size = a.element_alignment = 1;
  }
  a.read_only = read_only;
  a.constant_space = constant_space;
  a.reference = reference;
}
#define MSL_PARAMETER(SPACE, table, letter, is_constant) \
  template <class T> struct msl_parameter<SPACE T *> { \
    static MSL_INLINE void describe(msl_argument &a) { msl_describe<T>(a, __is_const(T) || is_constant, is_constant, false); } \
    template <char kind, int index> static MSL_INLINE SPACE T *get() { \
      static_assert(kind == letter, "the parameter's address space does not fit its attribute"); \
      return (SPACE T *)msl_arguments.table[index]; \
    } \
  }; \
  template <class T> struct msl_parameter<SPACE T &> { \
    static MSL_INLINE void describe(msl_argument &a) { msl_describe<T>(a, __is_const(T) || is_constant, is_constant, true); } \
    template <char kind, int index> static MSL_INLINE SPACE T &get() { \
      static_assert(kind == letter, "the parameter's address space does not fit its attribute"); \
      return *(SPACE T *)msl_arguments.table[index]; \
    } \
  };
MSL_PARAMETER(device, buffers, 'b', false)
MSL_PARAMETER(MSL_CONSTANT_SPACE, buffers, 'b', true)
MSL_PARAMETER(threadgroup, memories, 't', false)
#undef MSL_PARAMETER

template <char kind, int index> struct msl_attribute {
  static_assert(kind != 'b' || (index >= 0 && index <= 30), "'buffer' attribute parameter is out of bounds: must be between 0 and 30");
  static_assert(kind != 't' || (index >= 0 && index <= 30), "'threadgroup' attribute parameter is out of bounds: must be between 0 and 30");
  static_assert(kind != 'x', "textures, samplers and stage inputs are not part of the simulator");
};
template <class... Attributes> struct msl_attributes {};
template <class... P, char... kind, int... index>
MSL_INLINE void msl_call(void (*f)(P...), msl_attributes<msl_attribute<kind, index>...>) {
  f(msl_parameter<P>::template get<kind, index>()...);
}
template <class... P, char... kind, int... index>
MSL_INLINE void msl_reflect(void (*)(P...), msl_attributes<msl_attribute<kind, index>...>, msl_argument *out) {
  (void)(0 + ... + sizeof(msl_attribute<kind, index>));   // checks the indices
  int i = 0;
  ((out[i].kind = kind, out[i].index = index, out[i].active = 1, msl_parameter<P>::describe(out[i]), i++), ...);
}

// Called from the code that the build adds.
extern "C" MSL_INLINE __attribute__((used)) void msl_undefined_if(bool wrong, unsigned kind, unsigned site) {
  if (__builtin_expect(wrong, 0)) msl_undefined(kind, site);
}
// The address in a pointer, for comparisons and differences: two bindings of one buffer differ in their tags only. Pieces of
// threadgroup memory have nothing but their tags.
extern "C" MSL_INLINE __attribute__((used)) unsigned long msl_address(void *pointer) {
  unsigned long address = (unsigned long)pointer;
  unsigned long tag = address >> MSL_TAG_SHIFT;
  return tag < MSL_TAG_THREADGROUP || tag >= MSL_TAG_LOCAL ? address & ((1ul << MSL_TAG_SHIFT) - 1) : address;
}

// Mode COUNT: every access to a tagged pointer goes through one of these two, called from the code that the build adds.
// Unknown tags, the first touch of a page and anything out of bounds take the slow way.
#define MSL_COUNT(name, bytes, pages, write) \
  extern "C" MSL_INLINE __attribute__((used)) void *name(void *pointer, unsigned long size, unsigned site) { \
    unsigned long address = (unsigned long)pointer, tag = address >> MSL_TAG_SHIFT; \
    if (tag == 0) return pointer; \
    if (__builtin_expect(tag > 31, 0)) return msl_count_slow(pointer, size, write, site); \
    msl_region &r = msl_regions[tag]; \
    unsigned long offset = (address & ((1ul << MSL_TAG_SHIFT) - 1)) - (unsigned long)r.base; \
    if (__builtin_expect(offset + size > r.length, 0)) return msl_count_slow(pointer, size, write, site); \
    unsigned long *page = r.pages[offset >> MSL_PAGE_SHIFT], bit = offset & 63, mask = size >= 64 ? ~0ul : (1ul << size) - 1; \
    if (__builtin_expect(!page || bit + size > 64, 0)) return msl_count_slow(pointer, size, write, site); \
    page[(offset & ((1ul << MSL_PAGE_SHIFT) - 1)) >> 6] |= mask << bit; \
    r.bytes += size; \
    return r.base + offset; \
  }
MSL_COUNT(msl_count_read, read, read_pages, 0)
MSL_COUNT(msl_count_write, written, written_pages, 1)
#undef MSL_COUNT
