// atomic.h: metal_atomic and synchronisation functions (MSL 6.11 and 6.15). Orders other than relaxed are for
// atomic_thread_fence only, as in Metal.
#pragma once
#include "matrix.h"

namespace metal {
enum class mem_flags : uint {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
};
MSL_INLINE constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
MSL_INLINE constexpr mem_flags operator&(mem_flags a, mem_flags b) { return mem_flags(uint(a) & uint(b)); }
enum memory_order {
  memory_order_relaxed = 0,
  memory_order_acquire = 2,
  memory_order_release = 3,
  memory_order_acq_rel = 4,
  memory_order_seq_cst = 5,
};
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

MSL_INLINE void threadgroup_barrier(mem_flags flags) { [[clang::nomerge]] msl_barrier((uint)flags, MSL_SYNC_THREADGROUP, 0); }
MSL_INLINE void threadgroup_barrier(mem_flags flags, thread_scope) { [[clang::nomerge]] msl_barrier((uint)flags, MSL_SYNC_THREADGROUP, 0); }
MSL_INLINE void simdgroup_barrier(mem_flags flags) { [[clang::nomerge]] msl_barrier((uint)flags, MSL_SYNC_SIMDGROUP, 0); }
MSL_INLINE void simdgroup_barrier(mem_flags flags, thread_scope) { [[clang::nomerge]] msl_barrier((uint)flags, MSL_SYNC_SIMDGROUP, 0); }
MSL_INLINE void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device) { __asm__ volatile("" ::: "memory"); }

template <class T> struct _atomic {
  static_assert(__is_same(T, int) || __is_same(T, uint) || __is_same(T, bool) || __is_same(T, float) || __is_same(T, ulong) || __is_same(T, long),
                "atomic<T> needs T = int, uint, bool, float or ulong");
  T value;
};
template <class T> using atomic = _atomic<T>;
typedef _atomic<int> atomic_int;
typedef _atomic<uint> atomic_uint;
typedef _atomic<bool> atomic_bool;
typedef _atomic<float> atomic_float;
typedef _atomic<ulong> atomic_ulong;

// Operations with a clang builtin for integers, and loops over compare-exchange for the rest.
#define MSL_FETCH_BUILTIN(SPACE, name) \
  template <class T, class U> MSL_INLINE T atomic_fetch_##name##_explicit(volatile SPACE _atomic<T> *p, U v, memory_order) { return __atomic_fetch_##name(&p->value, (T)v, 0); }
#define MSL_FETCH_FLOAT(SPACE, name, op) \
  template <class U> MSL_INLINE float atomic_fetch_##name##_explicit(volatile SPACE _atomic<float> *p, U v, memory_order) { \
    volatile SPACE uint *bits = (volatile SPACE uint *)&p->value; \
    uint old = __atomic_load_n(bits, 0); \
    while (!__atomic_compare_exchange_n(bits, &old, as_type<uint>(as_type<float>(old) op (float)v), true, 0, 0)) {} \
    return as_type<float>(old); \
  }
#define MSL_FETCH_ORDER(SPACE, name, test) \
  template <class T, class U> MSL_INLINE T atomic_fetch_##name##_explicit(volatile SPACE _atomic<T> *p, U u, memory_order) { \
    T v = (T)u, old = __atomic_load_n(&p->value, 0); \
    while ((test) && !__atomic_compare_exchange_n(&p->value, &old, v, true, 0, 0)) {} \
    return old; \
  } \
  template <class T, class U> MSL_INLINE void atomic_##name##_explicit(volatile SPACE _atomic<T> *p, U v, memory_order o) { atomic_fetch_##name##_explicit(p, v, o); }
#define MSL_ATOMIC(SPACE) \
  template <class T> MSL_INLINE T atomic_load_explicit(const volatile SPACE _atomic<T> *p, memory_order) { return __atomic_load_n(&p->value, 0); } \
  MSL_INLINE float atomic_load_explicit(const volatile SPACE _atomic<float> *p, memory_order) { return as_type<float>(__atomic_load_n((const volatile SPACE uint *)&p->value, 0)); } \
  template <class T, class U> MSL_INLINE void atomic_store_explicit(volatile SPACE _atomic<T> *p, U v, memory_order) { __atomic_store_n(&p->value, (T)v, 0); } \
  template <class U> MSL_INLINE void atomic_store_explicit(volatile SPACE _atomic<float> *p, U v, memory_order) { __atomic_store_n((volatile SPACE uint *)&p->value, as_type<uint>((float)v), 0); } \
  template <class T, class U> MSL_INLINE T atomic_exchange_explicit(volatile SPACE _atomic<T> *p, U v, memory_order) { return __atomic_exchange_n(&p->value, (T)v, 0); } \
  template <class U> MSL_INLINE float atomic_exchange_explicit(volatile SPACE _atomic<float> *p, U v, memory_order) { return as_type<float>(__atomic_exchange_n((volatile SPACE uint *)&p->value, as_type<uint>((float)v), 0)); } \
  template <class T, class U> MSL_INLINE bool atomic_compare_exchange_weak_explicit(volatile SPACE _atomic<T> *p, thread T *expected, U v, memory_order, memory_order) { \
    return __atomic_compare_exchange_n(&p->value, expected, (T)v, true, 0, 0); \
  } \
  template <class U> MSL_INLINE bool atomic_compare_exchange_weak_explicit(volatile SPACE _atomic<float> *p, thread float *expected, U v, memory_order, memory_order) { \
    return __atomic_compare_exchange_n((volatile SPACE uint *)&p->value, (thread uint *)expected, as_type<uint>((float)v), true, 0, 0); \
  } \
  MSL_FETCH_BUILTIN(SPACE, add) MSL_FETCH_BUILTIN(SPACE, sub) MSL_FETCH_BUILTIN(SPACE, and) MSL_FETCH_BUILTIN(SPACE, or) \
  MSL_FETCH_BUILTIN(SPACE, xor) MSL_FETCH_FLOAT(SPACE, add, +) MSL_FETCH_FLOAT(SPACE, sub, -) \
  MSL_FETCH_ORDER(SPACE, max, old < v) MSL_FETCH_ORDER(SPACE, min, v < old)
MSL_ATOMIC(device)
MSL_ATOMIC(threadgroup)
#undef MSL_ATOMIC
#undef MSL_FETCH_BUILTIN
#undef MSL_FETCH_FLOAT
#undef MSL_FETCH_ORDER
}
