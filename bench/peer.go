package bench

import (
	"context"
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by the error of a peer that cannot do what it was
// asked to, such as open a checkpoint of that kind.
var ErrUnsupported = fmt.Errorf("bench: the peer cannot do this: %w", errors.ErrUnsupported)

// Peer is another engine that runs the same checkpoints. When one fails, the run
// goes on without it and the report has a note.
type Peer interface {
	Name() string
	// Start opens a checkpoint on a device: "cpu", with a number of threads, or
	// another, by the peer's own means.
	Start(ctx context.Context, c Checkpoint, device string, threads int) (PeerSession, error)
}

// PeerSession is a checkpoint open in a peer. Its tests are [Prefill] and
// [Decode].
type PeerSession interface {
	// Measure returns tokens per second.
	Measure(ctx context.Context, t Test) (float64, error)
	Close() error
}

// Checkpoint is where the same weights are in the forms that engines read. A
// form that there is none of is empty.
type Checkpoint struct {
	Safetensors string // directory with config.json and safetensors files
	GGUF        string // file
}

// planPeers adds the peers that can run m as subject does.
func (r *run) planPeers(ctx context.Context, m model, subject Subject) error {
	if len(r.Peers) == 0 || m.path == "" || m.random != nil && m.random.IsOLMo() {
		return nil
	}
	c, err := m.checkpoint(ctx, r.store)
	if err != nil {
		return err
	}
	for _, p := range r.Peers {
		r.say("opening %s in %s", m.name, p.Name())
		s, err := p.Start(ctx, c, subject.Device, subject.Threads)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.note("%s did not run %s: %v", p.Name(), m.name, err)
			continue
		}
		r.closers = append(r.closers, s.Close)
		subject.Engine, subject.Activations, subject.Operations = p.Name(), "", 0
		r.planPeer(subject, s)
	}
	return nil
}

// planPeer adds a peer's tests. The first that fails is its last: it must not
// take the whole run with it.
func (r *run) planPeer(subject Subject, s PeerSession) {
	failed := false
	for _, t := range r.tests() {
		if t.Kind == Batch {
			continue
		}
		result := r.result(subject, t)
		r.addStep(result, func(ctx context.Context) (func(), error) {
			if failed {
				return func() {}, nil
			}
			rate, err := s.Measure(ctx, t)
			if err != nil && ctx.Err() == nil {
				r.note("%s failed at %s, %s: %v", subject.Engine, subject.Model, t, err)
				failed = true
				return func() {}, nil
			}
			return func() { result.Samples = append(result.Samples, rate) }, orCause(ctx, err)
		})
	}
}

// orCause is why ctx ended, if it did: then a program that it ended has failed
// for no reason of its own.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
