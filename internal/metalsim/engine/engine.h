// engine.h is the C interface of the Metal Shading Language engine: from MSL source text to an executed and checked
// kernel. It is all that the Objective-C runtime (../runtime) and the Go tests (../) know of the engine.
//
// Conventions: strings are UTF-8 and NUL terminated; a returned `const char *` lives as long as the object it came from;
// every `size` is in bytes. Objects are reference counted: create/retain/release, a kernel keeps its library alive.
// All functions may be called from any thread; compilations run in parallel, dispatches one at a time.
#ifndef METALSIM_ENGINE_H
#define METALSIM_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define METALSIM_API __attribute__((visibility("default")))

enum {
  METALSIM_MAX_BUFFERS = 31,             // buffer argument table entries
  METALSIM_MAX_THREADGROUP_ARGS = 31,    // threadgroup argument table entries
  METALSIM_MAX_THREADGROUP_MEMORY = 32768,
  METALSIM_MAX_THREADS_PER_THREADGROUP = 1024,
  METALSIM_SIMD_WIDTH = 32,
};

// What is compiled into a kernel.
typedef enum {
  METALSIM_MODE_PLAIN = 0,  // nothing: fastest; counters of bytes stay 0
  METALSIM_MODE_COUNT = 1,  // bytes and touched ranges per buffer, out-of-bounds accesses are stopped and reported
  METALSIM_MODE_CHECK = 2,  // COUNT and the whole checker
} metalsim_mode;

// ---------------------------------------------------------------------------------------------------------- compile

typedef struct {
  uint32_t language_version;         // MTLLanguageVersion: (major << 16) | minor; 0 = 3.1
  uint8_t fast_math;                 // MTLCompileOptions.fastMathEnabled (Metal's default is 1)
  uint8_t mode;                      // metalsim_mode
  uint8_t coverage;                  // 1: count executed source lines (metalsim_coverage)
  uint8_t reserved;
  const char *const *macro_names;    // MTLCompileOptions.preprocessorMacros
  const char *const *macro_values;   // an entry may be "" but not NULL
  size_t macro_count;
  const char *source_name;           // file name in messages; NULL = "program_source", as Metal says
} metalsim_compile_options;

typedef struct metalsim_library metalsim_library;
typedef struct metalsim_kernel metalsim_kernel;
typedef struct metalsim_report metalsim_report;

// Compiles MSL source. On failure returns NULL and sets *error to the diagnostics, each as
// "program_source:LINE:COL: error: MESSAGE" (free with metalsim_free). On success *error is NULL, or holds the warnings.
METALSIM_API metalsim_library *metalsim_compile(const char *source, size_t length, const metalsim_compile_options *options,
                                                char **error);
METALSIM_API void metalsim_library_retain(metalsim_library *);
METALSIM_API void metalsim_library_release(metalsim_library *);
METALSIM_API void metalsim_free(void *);

// The kernel functions of a library, in source order, under their host names.
METALSIM_API size_t metalsim_function_count(const metalsim_library *);
METALSIM_API const char *metalsim_function_name(const metalsim_library *, size_t index);

typedef struct {
  const char *name;
  const char *type;      // "bool", "int", "uint", "float", "half", "ushort4", ...
  uint32_t index;        // [[function_constant(index)]]
  uint32_t data_type;    // MTLDataType value of `type`, 0 when Metal has none
  uint32_t size;         // bytes of one value
  uint8_t required;      // 1: is_function_constant_defined(name) is asked nowhere, so Metal demands a value
} metalsim_constant;

// Function constants that `function` uses (directly or through what it calls); NULL function: all of the library.
METALSIM_API size_t metalsim_constants(const metalsim_library *, const char *function, const metalsim_constant **out);

// --------------------------------------------------------------------------------------------------------- pipeline

typedef struct {
  const char *name;      // NULL: by index
  uint32_t index;
  uint32_t data_type;    // MTLDataType of the value, 0 = as declared; a mismatch is an error as in Metal
  const void *value;
} metalsim_constant_value;

typedef enum { METALSIM_ARG_BUFFER = 0, METALSIM_ARG_THREADGROUP = 1 } metalsim_arg_kind;

typedef struct {
  const char *name;
  uint32_t kind;               // metalsim_arg_kind
  uint32_t index;              // [[buffer(index)]] or [[threadgroup(index)]]
  uint32_t element_size;       // sizeof the pointed-to type
  uint32_t element_alignment;  // the binding's offset must be a multiple of it
  uint8_t read_only;           // `constant`, or pointer to const
  uint8_t is_constant_space;   // `constant` address space (offset alignment 4 on Apple GPUs, 32 on Intel Macs)
  uint8_t is_reference;        // T& : at least element_size bytes must be bound
  uint8_t active;              // 0: switched off by [[function_constant(c)]], need not be bound
} metalsim_arg;

typedef struct {
  const char *name;
  uint32_t max_total_threads_per_threadgroup;
  uint32_t thread_execution_width;
  uint32_t static_threadgroup_memory_length;
  uint32_t arg_count;
  const metalsim_arg *args;
  uint8_t uses_barriers;       // threadgroup barriers or SIMD-group operations
} metalsim_kernel_info;

// Builds one kernel of the library with its function constants. On failure returns NULL and sets *error.
METALSIM_API metalsim_kernel *metalsim_specialise(metalsim_library *, const char *function,
                                                  const metalsim_constant_value *values, size_t value_count, char **error);
METALSIM_API void metalsim_kernel_retain(metalsim_kernel *);
METALSIM_API void metalsim_kernel_release(metalsim_kernel *);
METALSIM_API const metalsim_kernel_info *metalsim_kernel_describe(const metalsim_kernel *);

// --------------------------------------------------------------------------------------------------------- dispatch

typedef struct {
  void *contents;        // first byte of the MTLBuffer, or of the setBytes copy; NULL: nothing bound
  uint64_t length;       // length of the whole buffer (or of the setBytes copy)
  uint64_t offset;       // setBuffer:offset:; the kernel sees [offset, length)
  uint64_t identity;     // non-zero id of the MTLBuffer: the same buffer bound twice has the same identity; 0 for setBytes
} metalsim_binding;

typedef struct {
  metalsim_binding buffers[METALSIM_MAX_BUFFERS];
  uint32_t threadgroup_memory[METALSIM_MAX_THREADGROUP_ARGS];  // setThreadgroupMemoryLength:atIndex:
  uint64_t grid[3];                     // threadgroups, or threads when grid_is_threads
  uint64_t threads_per_threadgroup[3];
  uint8_t grid_is_threads;              // dispatchThreads: (edge threadgroups may be smaller)
  uint64_t seed;                        // order of threadgroups, SIMD-groups and lanes; 0 = ascending
} metalsim_dispatch_args;

// Kinds of violation.
typedef enum {
  METALSIM_RACE_SIMDGROUP = 1,       // two threads of a SIMD-group, no simdgroup_barrier (or wrong mem_flags) between
  METALSIM_RACE_THREADGROUP,         // two threads of a threadgroup, no threadgroup_barrier (or wrong mem_flags) between
  METALSIM_RACE_DISPATCH,            // two threadgroups of one dispatch
  METALSIM_BARRIER_DIVERGENCE,       // a threadgroup_barrier not reached by all, or different ones
  METALSIM_SIMD_DIVERGENCE,          // SIMD-group or quad-group operation in divergent flow
  METALSIM_OUT_OF_BOUNDS,            // past a buffer binding or a threadgroup allocation
  METALSIM_ARRAY_BOUNDS,             // index past an array of known size
  METALSIM_UNINITIALISED,            // threadgroup memory read before it was written
  METALSIM_MISALIGNED,               // address not a multiple of the accessed type's alignment
  METALSIM_READ_ONLY_WRITE,          // write to `constant` memory or through a pointer to const
  METALSIM_UNBOUND,                  // access through an argument with nothing bound
  METALSIM_THREADGROUP_MEMORY,       // more than 32 KiB, or an argument without a length
  METALSIM_THREAD_COUNT,             // more than 1024 threads, more than the kernel allows, or none
  METALSIM_BAD_OFFSET,               // binding offset past the end or not aligned for the argument
  METALSIM_ARITHMETIC,               // integer division by zero, shift out of range, float to int overflow, signed overflow
  METALSIM_LANE,                     // a shuffle names a lane that does not exist
  METALSIM_WRAPPED_INDEX,            // an address from a 32-bit product that did not fit
  METALSIM_NAN,                      // under fast math, a NaN is written that no input was
  METALSIM_UNINITIALISED_VALUE,      // a variable read before it was written decides, addresses or is stored
} metalsim_violation_kind;

// One thread's place in a dispatch.
typedef struct {
  uint32_t threadgroup[3];           // threadgroup_position_in_grid
  uint32_t thread[3];                // thread_position_in_threadgroup
  uint32_t simdgroup, lane;
} metalsim_position;

typedef struct {
  uint32_t kind;                     // metalsim_violation_kind
  const char *kind_name;             // "race between threads of a threadgroup", ...
  const char *message;               // one line: what, how many bytes, which binding and offset
  const char *kernel;
  const char *file;                  // as in compiler messages: "program_source" or a #line name
  uint32_t line, column;
  const char *other_file;            // races: where the other access is; NULL otherwise
  uint32_t other_line, other_column;
  int32_t buffer;                    // buffer index, -1 none
  int32_t threadgroup_index;         // threadgroup argument index, -1 none (or a variable in the kernel)
  uint64_t offset;                   // byte offset from the binding's start
  metalsim_position where, other;    // `other` for races only
  uint64_t count;                    // how often this (kind, site) happened in the dispatch
} metalsim_violation;

// Bytes moved by one dispatch through one binding.
typedef struct {
  uint64_t read, written;                 // as requested by loads and stores
  uint64_t unique_read, unique_written;   // distinct bytes: the traffic that no cache can avoid
} metalsim_traffic;

typedef struct {
  uint64_t begin, end;               // byte offsets from the *buffer's* start (not the binding's offset)
} metalsim_range;

// Runs the kernel to the end. Never fails: what is wrong is a violation in the report (a dispatch that cannot run at all,
// such as one with 2048 threads, is not executed). Release the report with metalsim_report_release.
METALSIM_API metalsim_report *metalsim_dispatch(metalsim_kernel *, const metalsim_dispatch_args *);
METALSIM_API void metalsim_report_release(metalsim_report *);

METALSIM_API size_t metalsim_report_violations(const metalsim_report *, const metalsim_violation **out);
// "program_source:12:3: error: race ...", one line per violation, ready to print.
METALSIM_API const char *metalsim_report_text(const metalsim_report *);

typedef struct {
  uint64_t threadgroups, threads;
  uint64_t threadgroup_barriers;     // barriers executed, per threadgroup
  uint64_t simd_operations;          // SIMD-group functions and barriers executed, per SIMD-group
  uint64_t context_switches;
  double seconds;                    // wall time
  metalsim_traffic total;            // sum of the buffers (setBytes included)
  metalsim_traffic buffers[METALSIM_MAX_BUFFERS];
  // Mode COUNT; see work.cpp for what they stand for on an Apple GPU.
  uint64_t slots;                    // issue slots of all lanes
  double in_flight;                  // bytes of independent device loads of a lane, mean over the bytes loaded
} metalsim_counters;

METALSIM_API const metalsim_counters *metalsim_report_counters(const metalsim_report *);

// Byte ranges of the buffer bound at `buffer` that were read (write = 0) or written (write = 1), ascending, disjoint,
// merged. Modes COUNT and CHECK. They are what hazards between dispatches are found with.
METALSIM_API size_t metalsim_report_ranges(const metalsim_report *, uint32_t buffer, int write, const metalsim_range **out);

// Hazards between dispatches of one concurrent encoder. A tracker holds what was touched since the last barrier; adding a
// report returns the violations with earlier reports that touch the same memory, whatever buffer it is bound as, at least one
// of them writing. Reset it at memoryBarrierWithScope:; reset one buffer at memoryBarrierWithResources:.
typedef struct metalsim_hazards metalsim_hazards;
typedef struct {
  const char *kernel, *earlier_kernel;
  uint64_t identity;
  uint32_t dispatch, earlier_dispatch;  // counted from the tracker's creation
  uint64_t begin, end;                  // first overlapping byte range of the buffer
  uint8_t earlier_writes, writes;
} metalsim_hazard;
METALSIM_API metalsim_hazards *metalsim_hazards_create(void);
METALSIM_API void metalsim_hazards_destroy(metalsim_hazards *);
METALSIM_API void metalsim_hazards_barrier(metalsim_hazards *);
METALSIM_API void metalsim_hazards_barrier_buffer(metalsim_hazards *, uint64_t identity);
METALSIM_API size_t metalsim_hazards_add(metalsim_hazards *, const metalsim_report *, const metalsim_hazard **out);

// --------------------------------------------------------------------------------------------------------- coverage

// Lines of every library compiled with coverage = 1 in this process, merged over kernels, specialisations and template
// instantiations; hits is 0 for a line that has code but never ran, `partial` when only some of its branches did.
typedef struct {
  const char *file;       // "program_source" or a #line name
  uint64_t source_hash;   // metalsim_source_hash of the compiled text
  uint32_t line;
  uint8_t hit, partial;
} metalsim_line;
METALSIM_API size_t metalsim_coverage(const metalsim_line **out);  // valid until the next call
METALSIM_API uint64_t metalsim_source_hash(const char *source, size_t length);

#ifdef __cplusplus
}
#endif
#endif
