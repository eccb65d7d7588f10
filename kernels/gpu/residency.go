package gpu

import (
	"sync"
	"time"
)

const (
	// The system takes back memory that the GPU has not used for about a second;
	// to get it in reach again costs a large model a quarter of a second
	// (llama.cpp's issue 11427). So the request is repeated while the backend is
	// in use, and withdrawn when it has not been for a while.
	residencyHeartbeat = 500 * time.Millisecond
	residencyIdle      = 3 * time.Minute
)

// residency keeps a backend's buffers in reach of the GPU between passes. Its
// failures are not failures: memory comes into reach when a pass needs it.
type residency struct {
	set interface {
		RequestResidency() error
		EndResidency() error
	}

	mu        sync.Mutex
	used      time.Time   // the last pass
	heartbeat *time.Timer // nil while the request is withdrawn
}

// use notes a pass; the first one after a while makes the request.
func (r *residency) use() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = time.Now()
	if r.heartbeat == nil {
		r.set.RequestResidency()
		r.heartbeat = time.AfterFunc(residencyHeartbeat, r.beat)
	}
}

// beat repeats the request, or withdraws it.
func (r *residency) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heartbeat == nil {
		return // ended meanwhile
	}
	if time.Since(r.used) >= residencyIdle {
		r.heartbeat = nil
		r.set.EndResidency()
		return
	}
	r.set.RequestResidency()
	r.heartbeat.Reset(residencyHeartbeat)
}

// end withdraws the request.
func (r *residency) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heartbeat != nil {
		r.heartbeat.Stop()
		r.heartbeat = nil
		r.set.EndResidency()
	}
}
