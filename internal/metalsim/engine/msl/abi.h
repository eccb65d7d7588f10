// abi.h: what a compiled kernel and the engine know of each other. Included by both.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct msl_uint3 {
  unsigned x, y, z;
};

// One GPU thread, as far as its kernel can ask about itself.
struct msl_thread {
  struct msl_uint3 position_in_threadgroup, threadgroup_position, position_in_grid;
  unsigned index_in_threadgroup, lane, simdgroup;
};

// The same for all threads of a threadgroup.
struct msl_threadgroup {
  struct msl_uint3 threads_per_grid, threads_per_threadgroup, threadgroups_per_grid, dispatch_threads_per_threadgroup;
  unsigned simdgroups, dispatch_simdgroups;
};

// The argument tables. In the modes COUNT and CHECK buffer pointers are tagged (see tags below), so that every access can
// be told apart by binding even where two bindings overlap.
struct msl_arguments {
  void *buffers[31];
  void *memories[31];
};

// What the lanes of a SIMD-group hand each other in one operation. Valid until the lane's next operation.
struct msl_exchanged {
  unsigned mask;       // lanes that take part
  unsigned done;       // set by the first lane that computed `result`
  char lane[32][64] __attribute__((aligned(64)));
  char result[256] __attribute__((aligned(64)));
};

// Pointer tags, in the 16 bits that user-space addresses leave free. 0: an ordinary address (a thread's own memory).
enum {
  MSL_TAG_SHIFT = 48,
  MSL_TAG_BUFFER = 1,         // + buffer index
  MSL_TAG_INACTIVE = 32,      // + buffer index: an argument that its [[function_constant]] switches off
  MSL_TAG_THREADGROUP = 64,   // + threadgroup argument index
  MSL_TAG_VARIABLE = 128,     // + number of the threadgroup variable in the kernel
  MSL_TAG_LOCAL = 1024,       // + number of one of the thread's own arrays that a pointer was made to
};
// The address part of a threadgroup pointer is this plus its offset, so that negative offsets keep their tag.
#define MSL_THREADGROUP_ORIGIN (1ul << 46)

// Bytes of a buffer are tracked in pages, one bit a byte, allocated when first touched.
enum { MSL_PAGE_SHIFT = 16, MSL_PAGE_WORDS = (1 << MSL_PAGE_SHIFT) / 64 };

// One buffer binding as the counting code sees it (mode COUNT inlines this; CHECK goes through msl_access).
struct msl_region {
  char *base;
  unsigned long length;
  unsigned long read, written;           // bytes requested
  unsigned long **read_pages, **written_pages;
};

extern struct msl_thread *msl_current;
extern struct msl_threadgroup msl_group;
extern struct msl_arguments msl_arguments;
extern struct msl_region msl_regions[32];  // [tag]; 0 unused

enum { MSL_SYNC_THREADGROUP = 0, MSL_SYNC_SIMDGROUP = 1 };
// `site` numbers are filled in when a kernel is built: they stand for a source position.
__attribute__((convergent)) void msl_barrier(unsigned mem_flags, unsigned kind, unsigned site);

enum {
  MSL_OP_CONVERGED = 0,  // all lanes of the SIMD-group must take part
  MSL_OP_ACTIVE = 1,     // made for divergent flow: vote and first-lane functions
};
__attribute__((convergent)) struct msl_exchanged *msl_exchange(const void *value, unsigned size, unsigned kind, unsigned site);

// Checked access: returns where the bytes really are, or a scratch place when the access is wrong.
void *msl_access(void *pointer, unsigned site);
void msl_copy(void *to, void *from, unsigned long size, unsigned site_to, unsigned site_from);
void msl_fill(void *to, unsigned char value, unsigned long size, unsigned site);
// Something MSL leaves undefined.
enum {
  MSL_BAD_INDEX = 0,
  MSL_BAD_DIVISION,
  MSL_BAD_SHIFT,
  MSL_BAD_CONVERSION,
  MSL_BAD_OVERFLOW,
  MSL_BAD_LANE,
  MSL_BAD_WRAP,
  MSL_BAD_NAN,
  MSL_BAD_VALUE,
};
void msl_undefined(unsigned kind, unsigned site);
// A NaN came into the dispatch, from memory or made of bits.
void msl_note_nan(void);
// A pointer into one of the thread's arrays, tagged so that accesses through it can be held to the array.
void *msl_local(void *pointer, void *array, unsigned long size);
// The slow way of the counting code: first touch of a page, or out of bounds.
void *msl_count_slow(void *pointer, unsigned long size, unsigned write, unsigned site);

// Reflection of one kernel argument, filled in by the compiled kernel.
struct msl_argument {
  unsigned kind;        // 'b' buffer, 't' threadgroup memory, anything else: a built-in value
  unsigned index;
  unsigned element_size, element_alignment;
  unsigned char read_only, constant_space, reference, active;
};

#ifdef __cplusplus
}
#endif
