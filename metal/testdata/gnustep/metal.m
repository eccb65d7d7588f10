// The part of Metal that package metal's tests send messages to when Foundation is GNUstep's: no GPU, no compiler, but
// objects of a real Objective-C runtime, with methods that a compiler made of their declarations. What arrives is put
// into NSStrings and NSErrors, or into bytes of a buffer, for the tests to compare.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef signed char BOOL;
typedef uint64_t NSUInteger;
typedef int64_t NSInteger;
typedef struct {
  NSUInteger width, height, depth;
} MTLSize;

// What is used of Foundation, which comes without headers.
@class NSString, NSArray, NSDictionary, NSError;
@interface NSObject {
  id isa;
}
+ (id)alloc;
- (id)init;
- (id)retain;
- (void)release;
- (id)autorelease;
- (void)dealloc;
@end
@interface NSString : NSObject
+ (id)stringWithUTF8String:(const char *)text;
- (const char *)UTF8String;
- (id)copy;
@end
@interface NSArray : NSObject
+ (id)arrayWithObjects:(id *)objects count:(NSUInteger)n;
- (id)sortedArrayUsingSelector:(SEL)compare;
- (NSUInteger)count;
- (id)objectAtIndex:(NSUInteger)i;
@end
@interface NSDictionary : NSObject
+ (id)dictionaryWithObjects:(id *)objects forKeys:(id *)keys count:(NSUInteger)n;
- (id)allKeys;
- (id)objectForKey:(id)key;
@end
@interface NSError : NSObject
+ (id)errorWithDomain:(NSString *)domain code:(NSInteger)code userInfo:(NSDictionary *)info;
@end
@interface NSAutoreleasePool : NSObject
@end
extern NSString *const NSLocalizedDescriptionKey;

static NSString *text(const char *s) { return [NSString stringWithUTF8String:s]; }

static NSError *failure(const char *domain, NSInteger code, const char *description) {
  id value = text(description), key = NSLocalizedDescriptionKey;
  return [NSError errorWithDomain:text(domain) code:code userInfo:[NSDictionary dictionaryWithObjects:&value forKeys:&key count:1]];
}

// Objects are counted: after a test none is left.
static int64_t living;
int64_t livingObjects(void) { return __atomic_load_n(&living, __ATOMIC_SEQ_CST); }

@interface Counted : NSObject {
  NSString *label;
}
- (void)setLabel:(NSString *)text;
@end
@implementation Counted
- (id)init {
  __atomic_fetch_add(&living, 1, __ATOMIC_SEQ_CST);
  return [super init];
}
- (void)dealloc {
  __atomic_fetch_sub(&living, 1, __ATOMIC_SEQ_CST);
  [label release];
  [super dealloc];
}
- (void)setLabel:(NSString *)text {
  id kept = [text copy];
  [label release];
  label = kept;
}
- (NSString *)label {
  return label;
}
@end

@interface MTLCompileOptions : Counted {
@public
  NSUInteger version;
  BOOL fast;
  NSDictionary *macros;
}
@end
@implementation MTLCompileOptions
- (void)dealloc {
  [macros release];
  [super dealloc];
}
- (void)setLanguageVersion:(NSUInteger)v {
  version = v;
}
- (void)setFastMathEnabled:(BOOL)on {
  fast = on;
}
- (void)setPreprocessorMacros:(NSDictionary *)m {
  [m retain];
  [macros release];
  macros = m;
}
@end

@interface MTLFunctionConstantValues : Counted {
@public
  char said[256];
}
@end
@implementation MTLFunctionConstantValues
- (void)setConstantValue:(const void *)value type:(NSUInteger)type atIndex:(NSUInteger)index {
  size_t n = strlen(said);
  snprintf(said + n, sizeof said - n, "_%d:%d=%08x", (int)index, (int)type, *(const uint32_t *)value);
}
- (void)setConstantValue:(const void *)value type:(NSUInteger)type withName:(NSString *)name {
  size_t n = strlen(said);
  snprintf(said + n, sizeof said - n, "_%s:%d=%08x", [name UTF8String], (int)type, *(const uint32_t *)value);
}
@end

@interface MTLFunction : Counted
@end
@implementation MTLFunction
@end

@interface MTLLibrary : Counted
@end
@implementation MTLLibrary
- (NSArray *)functionNames {
  id names[] = {text("scale"), text("größe"), text("add")};
  return [NSArray arrayWithObjects:names count:3];
}
// A function that names its constants in its error is how the tests see them.
- (id)newFunctionWithName:(NSString *)name constantValues:(MTLFunctionConstantValues *)values error:(NSError **)error {
  if (strcmp([name UTF8String], "add") == 0 && values->said[0] == 0) return [[MTLFunction alloc] init];
  *error = failure("MTLLibraryErrorDomain", values->said[0] ? 2 : 5, values->said);
  return 0;
}
@end

@interface MTLComputePipelineDescriptor : Counted {
@public
  MTLFunction *function;
  NSUInteger threads;
  BOOL whole;
}
@end
@implementation MTLComputePipelineDescriptor
- (void)dealloc {
  [function release];
  [super dealloc];
}
- (void)setComputeFunction:(MTLFunction *)f {
  [f retain];
  [function release];
  function = f;
}
- (void)setMaxTotalThreadsPerThreadgroup:(NSUInteger)n {
  threads = n;
}
- (void)setThreadGroupSizeIsMultipleOfThreadExecutionWidth:(BOOL)on {
  whole = on;
}
@end

@interface MTLComputePipelineState : Counted {
@public
  NSUInteger threads;
}
@end
@implementation MTLComputePipelineState
- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return threads;
}
- (NSUInteger)threadExecutionWidth {
  return 32;
}
- (NSUInteger)staticThreadgroupMemoryLength {
  return 0;
}
@end

@interface MTLBuffer : Counted {
@public
  char *bytes;
  BOOL ours;
}
@end
@implementation MTLBuffer
- (void)dealloc {
  if (ours) free(bytes);
  [super dealloc];
}
- (void *)contents {
  return bytes;
}
- (NSUInteger)allocatedSize {
  return 16384;
}
@end

// What an encoder was told, as text in buffer 0, when the command buffer completes.
@interface MTLCommandBuffer : Counted {
@public
  char said[4096];
  MTLBuffer *out;
  void (^handler)(id);
  NSUInteger status;
  NSError *error;
}
@end

static void say(MTLCommandBuffer *c, const char *what) {
  size_t n = strlen(c->said);
  snprintf(c->said + n, sizeof c->said - n, "%s\n", what);
}

@interface MTLComputeCommandEncoder : Counted {
@public
  MTLCommandBuffer *commands;
}
@end
@implementation MTLComputeCommandEncoder
- (void)dealloc {
  [commands release];
  [super dealloc];
}
- (void)setComputePipelineState:(MTLComputePipelineState *)p {
  say(commands, [[p label] UTF8String]);
}
- (void)setBuffer:(MTLBuffer *)b offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  char line[128];
  snprintf(line, sizeof line, "buffer %s %d %d", [[b label] UTF8String], (int)offset, (int)index);
  say(commands, line);
  if (index == 0) commands->out = b;  // unretained, like a command buffer of this kind
}
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  char line[128];
  snprintf(line, sizeof line, "bytes %.*s %d", (int)length, (const char *)bytes, (int)index);
  say(commands, line);
}
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
  char line[128];
  snprintf(line, sizeof line, "memory %d %d", (int)length, (int)index);
  say(commands, line);
}
- (void)dispatch:(const char *)what grid:(MTLSize)g threads:(MTLSize)t {
  char line[128];
  snprintf(line, sizeof line, "%s %d %d %d, %d %d %d", what, (int)g.width, (int)g.height, (int)g.depth, (int)t.width, (int)t.height, (int)t.depth);
  say(commands, line);
}
- (void)dispatchThreadgroups:(MTLSize)g threadsPerThreadgroup:(MTLSize)t {
  [self dispatch:"threadgroups" grid:g threads:t];
}
- (void)dispatchThreads:(MTLSize)g threadsPerThreadgroup:(MTLSize)t {
  [self dispatch:"threads" grid:g threads:t];
}
- (void)memoryBarrierWithScope:(NSUInteger)scope {
  say(commands, scope == 1 ? "barrier" : "barrier of another scope");
}
- (void)memoryBarrierWithResources:(id const *)resources count:(NSUInteger)n {
  for (NSUInteger i = 0; i < n; i++) say(commands, [[resources[i] label] UTF8String]);
}
- (void)pushDebugGroup:(NSString *)name {
  say(commands, [name UTF8String]);
}
- (void)popDebugGroup {
  say(commands, "pop");
}
- (void)endEncoding {
  say(commands, "end");
}
@end

@implementation MTLCommandBuffer
- (void)dealloc {
  [(id)handler release];
  [error release];
  [super dealloc];
}
- (id)computeCommandEncoderWithDispatchType:(NSUInteger)type {
  MTLComputeCommandEncoder *e = [[MTLComputeCommandEncoder alloc] init];
  e->commands = [self retain];
  say(self, type == 1 ? "concurrent" : "serial");
  return [e autorelease];
}
- (void)addCompletedHandler:(void (^)(id))h {
  handler = [(id)h copy];
}
static void *complete(void *arg) {
  MTLCommandBuffer *c = arg;
  NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
  if (c->out) strcpy(c->out->bytes, c->said);
  const char *label = [[c label] UTF8String];
  c->status = 4;
  if (label && strcmp(label, "fails") == 0) {
    c->status = 5;
    c->error = [failure("MTLCommandBufferErrorDomain", 8, "Insufficient Memory 🙂") retain];
  }
  c->handler(c);
  [c release];
  [pool release];
  return 0;
}
- (void)commit {
  pthread_t thread;
  [self retain];
  if (pthread_create(&thread, 0, complete, self)) abort();
  // Completion before -commit returns, which the documentation does not exclude.
  pthread_join(thread, 0);
  say(self, "committed");
}
- (NSUInteger)status {
  return status;
}
- (NSError *)error {
  return error;
}
- (double)GPUStartTime {
  return 1.25;
}
- (double)GPUEndTime {
  return 1.75;
}
@end

@interface MTLCommandQueue : Counted
@end
@implementation MTLCommandQueue
- (id)commandBufferWithUnretainedReferences {
  return [[[MTLCommandBuffer alloc] init] autorelease];
}
@end

@interface MTLDevice : Counted
@end
@implementation MTLDevice
- (NSString *)name {
  return text("GNUstep's Foundation, größer 🙂");
}
- (uint64_t)registryID {
  return 0x123456789abcdef0;
}
- (BOOL)supportsFamily:(NSInteger)family {
  return family <= 1007;
}
- (BOOL)hasUnifiedMemory {
  return 1;
}
- (BOOL)isLowPower {
  return 0;
}
- (NSUInteger)maxThreadgroupMemoryLength {
  return 32768;
}
- (NSUInteger)maxBufferLength {
  return 1 << 30;
}
// Fails when the source is "fail", with the options as the compiler's message; warns when it is "warn".
- (id)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)o error:(NSError **)error {
  if (strcmp([source UTF8String], "fail") == 0) {
    char said[1024];
    snprintf(said, sizeof said, "program_source:1:2: error: version %llx fast %d", (unsigned long long)o->version, o->fast);
    NSArray *keys = [[o->macros allKeys] sortedArrayUsingSelector:@selector(compare:)];
    for (NSUInteger i = 0; i < [keys count]; i++) {
      size_t n = strlen(said);
      snprintf(said + n, sizeof said - n, " %s=%s", [[keys objectAtIndex:i] UTF8String], [[o->macros objectForKey:[keys objectAtIndex:i]] UTF8String]);
    }
    *error = failure("MTLLibraryErrorDomain", 3, said);
    return 0;
  }
  if (strcmp([source UTF8String], "warn") == 0) *error = failure("MTLLibraryErrorDomain", 4, "program_source:3:4: warning: größer");
  return [[MTLLibrary alloc] init];
}
- (id)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)d options:(NSUInteger)options reflection:(id *)reflection error:(NSError **)error {
  if (options != 0 || reflection != 0 || d->function == 0 || !d->whole) {
    *error = failure("driver", -7, "no function, or not whole SIMD-groups");
    return 0;
  }
  MTLComputePipelineState *p = [[MTLComputePipelineState alloc] init];
  p->threads = d->threads;
  [p setLabel:[d label]];
  return p;
}
- (id)newBufferWithLength:(NSUInteger)length options:(NSUInteger)options {
  MTLBuffer *b = [[MTLBuffer alloc] init];
  b->bytes = options == 0 ? calloc(1, length) : 0;
  b->ours = 1;
  return b;
}
- (id)newBufferWithBytesNoCopy:(void *)bytes length:(NSUInteger)length options:(NSUInteger)options deallocator:(void (^)(void *, NSUInteger))d {
  if (length % 4096 || options != 0 || d != 0) return 0;
  MTLBuffer *b = [[MTLBuffer alloc] init];
  b->bytes = bytes;
  return b;
}
- (id)newCommandQueue {
  return [[MTLCommandQueue alloc] init];
}
@end

id MTLCreateSystemDefaultDevice(void) { return [[MTLDevice alloc] init]; }
NSArray *MTLCopyAllDevices(void) {
  id both[] = {[[[MTLDevice alloc] init] autorelease], [[[MTLDevice alloc] init] autorelease]};
  return [[NSArray arrayWithObjects:both count:2] retain];
}
