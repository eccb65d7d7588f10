// Mobile is the library as an archive for C, Swift and Objective-C. docs/embedding.md
// says how an app uses it.
//
//	CGO_ENABLED=1 go build -buildmode=c-archive -o libopenelm.a .
package main

/*
#include <stdlib.h>
#include "openelm.h"

typedef const char *text; // so that what cgo declares is what openelm.h does
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func main() {} // an archive has none, and Go wants one

// open is a model that somebody has opened.
type open struct {
	model *openelm.Model
	ctx   context.Context // ends when it is closed
	end   context.CancelFunc
	texts sync.WaitGroup // those that are being generated
}

// models are those that are open: their numbers are all that C sees.
var models = struct {
	sync.Mutex
	last C.openelm_model
	open map[C.openelm_model]*open
}{open: map[C.openelm_model]*open{}}

//export openelm_open
func openelm_open(path C.text, failed **C.char) C.openelm_model {
	ctx := context.Background()
	var m *openelm.Model
	var err error
	if path == nil {
		m, err = story.Open(ctx, nil)
	} else {
		m, err = loader.Open(ctx, C.GoString((*C.char)(path)), nil)
	}
	if err != nil {
		tell(failed, err)
		return 0
	}
	o := &open{model: m}
	o.ctx, o.end = context.WithCancel(ctx)
	models.Lock()
	defer models.Unlock()
	models.last++
	models.open[models.last] = o
	return models.last
}

//export openelm_generate
func openelm_generate(model C.openelm_model, prompt C.text, maxTokens C.int, temperature C.float, seed C.uint64_t, token C.openelm_token, user unsafe.Pointer, failed **C.char) C.int {
	err := func() error {
		if prompt == nil || token == nil || maxTokens < 0 {
			return errors.New("prompt and token must not be NULL, and max_tokens not negative")
		}
		models.Lock()
		o := models.open[model]
		if o != nil {
			o.texts.Add(1)
		}
		models.Unlock()
		if o == nil {
			return fmt.Errorf("there is no model %d", model)
		}
		defer o.texts.Done()
		for t, err := range o.model.Generate(o.ctx, C.GoString((*C.char)(prompt)), &openelm.GenerateOptions{
			MaxTokens: int(maxTokens),
			Sampling:  openelm.Sampling{Temperature: float32(temperature), TopP: 0.95, Seed: uint64(seed)},
		}) {
			if err != nil {
				return err
			}
			if !callback(token, user, t.Text) {
				return nil
			}
		}
		return nil
	}()
	if err != nil {
		tell(failed, err)
		return -1
	}
	return 0
}

//export openelm_close
func openelm_close(model C.openelm_model) {
	models.Lock()
	o := models.open[model]
	delete(models.open, model)
	models.Unlock()
	if o == nil {
		return
	}
	o.end()
	o.texts.Wait()
	o.model.Close() // only unmapping can fail, and nobody can do anything about it
}

//export openelm_free
func openelm_free(failed *C.char) { C.free(unsafe.Pointer(failed)) }

// tell gives C an error, unless it wants none.
func tell(failed **C.char, err error) {
	if failed != nil {
		*failed = C.CString(err.Error())
	}
}
