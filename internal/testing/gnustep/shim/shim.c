// What Apple's Objective-C runtime exports and GCC's (libobjc.so.4) with GNUstep's Foundation does not: objc_msgSend and
// objc_msgSend_stret, the C functions for references and autorelease pools, and the class of global blocks. System V
// calling convention, x86-64.
#include <stddef.h>
#include <string.h>

typedef struct objc_object *id;
typedef struct objc_class *Class;
typedef const struct objc_selector *SEL;
typedef id (*IMP)(id, SEL);

IMP objc_msg_lookup(id, SEL);
SEL sel_registerName(const char *);
Class objc_getClass(const char *);
Class objc_allocateClassPair(Class, const char *, size_t);
void objc_registerClassPair(Class);
char class_addMethod(Class, SEL, IMP, const char *);
id class_createInstance(Class, size_t);
id object_dispose(id);

// GCC's compiler calls objc_msg_lookup at each message; Apple's calls objc_msgSend, which jumps to the method with all
// argument registers as they were, or objc_msgSend_stret where the first argument is the address of a large result. The
// runtime's own method for nil returns 0 as an integer only, hence the test.
__asm__(
	".macro SEND name, self, cmd\n"
	".globl \\name\n"
	".type \\name,@function\n"
	"\\name:\n"
	"  test \\self, \\self\n"
	"  jz 1f\n"
	"  push %rbp\n"
	"  mov %rsp, %rbp\n"
	"  sub $192, %rsp\n"
	"  mov %rdi, 0(%rsp)\n"
	"  mov %rsi, 8(%rsp)\n"
	"  mov %rdx, 16(%rsp)\n"
	"  mov %rcx, 24(%rsp)\n"
	"  mov %r8, 32(%rsp)\n"
	"  mov %r9, 40(%rsp)\n"
	"  mov %rax, 48(%rsp)\n"
	"  movups %xmm0, 64(%rsp)\n"
	"  movups %xmm1, 80(%rsp)\n"
	"  movups %xmm2, 96(%rsp)\n"
	"  movups %xmm3, 112(%rsp)\n"
	"  movups %xmm4, 128(%rsp)\n"
	"  movups %xmm5, 144(%rsp)\n"
	"  movups %xmm6, 160(%rsp)\n"
	"  movups %xmm7, 176(%rsp)\n"
	"  mov \\self, %rdi\n"
	"  mov \\cmd, %rsi\n"
	"  call objc_msg_lookup@PLT\n"
	"  mov %rax, %r11\n"
	"  mov 0(%rsp), %rdi\n"
	"  mov 8(%rsp), %rsi\n"
	"  mov 16(%rsp), %rdx\n"
	"  mov 24(%rsp), %rcx\n"
	"  mov 32(%rsp), %r8\n"
	"  mov 40(%rsp), %r9\n"
	"  mov 48(%rsp), %rax\n"
	"  movups 64(%rsp), %xmm0\n"
	"  movups 80(%rsp), %xmm1\n"
	"  movups 96(%rsp), %xmm2\n"
	"  movups 112(%rsp), %xmm3\n"
	"  movups 128(%rsp), %xmm4\n"
	"  movups 144(%rsp), %xmm5\n"
	"  movups 160(%rsp), %xmm6\n"
	"  movups 176(%rsp), %xmm7\n"
	"  leave\n"
	"  jmp *%r11\n"
	"1: xor %eax, %eax\n"
	"  xor %edx, %edx\n"
	"  pxor %xmm0, %xmm0\n"
	"  pxor %xmm1, %xmm1\n"
	"  ret\n"
	".size \\name, .-\\name\n"
	".endm\n"
	".text\n"
	"SEND objc_msgSend, %rdi, %rsi\n"
	"SEND objc_msgSend_stret, %rsi, %rdx\n");

static id send(id o, const char *name) {
	SEL s = sel_registerName(name);
	return o ? objc_msg_lookup(o, s)(o, s) : o;
}

id objc_retain(id o) { return send(o, "retain"); }
void objc_release(id o) { send(o, "release"); }
id objc_autorelease(id o) { return send(o, "autorelease"); }

void *objc_autoreleasePoolPush(void) { return send(send((id)objc_getClass("NSAutoreleasePool"), "alloc"), "init"); }
void objc_autoreleasePoolPop(void *pool) { send((id)pool, "release"); }

// A compiler puts the address of this variable into a global block as its class.
void *_NSConcreteGlobalBlock[32];

static id itself(id self, SEL cmd) {
	(void)cmd;
	return self;
}

// GCC's runtime allocates classes itself: the variable becomes a copy of one, once the runtime has prepared it.
__attribute__((constructor)) static void make_block_class(void) {
	enum { kClassSize = 13 * sizeof(void *) };  // struct objc_class of its documented runtime
	Class c = objc_allocateClassPair(objc_getClass("NSObject"), "NSGlobalBlock", 0);
	const char *const methods[] = {"copy", "retain", "release", "autorelease"};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) class_addMethod(c, sel_registerName(methods[i]), itself, "@16@0:8");
	objc_registerClassPair(c);
	id first = class_createInstance(c, 0);
	send(first, "self");
	object_dispose(first);
	memcpy(_NSConcreteGlobalBlock, c, kClassSize);
}
