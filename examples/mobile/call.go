package main

/*
#include "openelm.h"

static int call(openelm_token token, void *user, const char *text, size_t length) { return token(user, text, length); }
*/
import "C"
import "unsafe"

// callback calls a function of C with a piece of text, if it is any, and reports
// whether more is wanted.
func callback(token C.openelm_token, user unsafe.Pointer, text string) bool {
	return text == "" || C.call(token, user, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text))) == 0
}
