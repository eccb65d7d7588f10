// Stand-ins for what a Mac's libSystem and Carbon have and Linux has not, for tests to set off.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

// Dispatch: one source, whose handler runs on a thread of its own, as on a Mac.
char _dispatch_source_type_memorypressure[1];
static void (*handler)(void *);
static unsigned long mask, data;

void *dispatch_get_global_queue(intptr_t identifier, unsigned long flags) { return identifier == 0 && flags == 0 ? &mask : 0; }
void *dispatch_source_create(void *type, uintptr_t handle, unsigned long m, void *queue) {
	if (type != _dispatch_source_type_memorypressure || handle != 0 || queue != &mask) return 0;
	mask = m;
	return &handler;
}
void dispatch_source_set_event_handler_f(void *source, void (*f)(void *)) {
	if (source == &handler) handler = f;
}
void dispatch_resume(void *source) { (void)source; }
void dispatch_source_cancel(void *source) {
	if (source == &handler) handler = 0;
}
unsigned long dispatch_source_get_data(void *source) { return source == &handler ? data : 0; }

static void *fire(void *unused) {
	handler(unused);
	return 0;
}
void standin_pressure(unsigned long d) {
	pthread_t t;
	if (!handler || !(mask & d)) return;
	data = d;
	pthread_create(&t, 0, fire, 0);
	pthread_join(t, 0);
}

// Carbon: one key.
typedef struct {
	uint32_t class, kind;
} EventTypeSpec;
typedef struct {
	uint32_t signature, id;
} EventHotKeyID;
typedef int32_t (*Handler)(void *, void *, void *);
static Handler pressed;
static int registered, taken;

void *GetApplicationEventTarget(void) { return &pressed; }
int32_t InstallEventHandler(void *target, Handler h, unsigned long n, const EventTypeSpec *types, void *user, void **out) {
	if (target != &pressed || n != 1 || types->class != 'keyb' || types->kind != 5 || user) return -50;
	pressed = h;
	*out = &pressed;
	return 0;
}
int32_t RegisterEventHotKey(uint32_t key, uint32_t modifiers, EventHotKeyID id, void *target, uint32_t options, void **out) {
	if (taken) return -9878;  // eventHotKeyExistsErr
	if (key != 49 || modifiers != (1 << 12 | 1 << 11) || id.signature != 'ElmK' || id.id != 1 || target != &pressed || options != 1) return -50;
	registered = 1;
	*out = &registered;
	return 0;
}
int32_t UnregisterEventHotKey(void *key) {
	if (key != &registered) return -50;
	registered = 0;
	return 0;
}
int standin_press(void) { return registered && pressed ? pressed(0, 0, 0) : -1; }
void standin_take(int t) { taken = t; }
