package metal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// CommandBuffer is a list of commands recorded by encoders and then executed by the GPU (MTLCommandBuffer).
//
// Recording is for one goroutine at a time; Wait, Done, Err, Status and the times may be called by any.
type CommandBuffer struct {
	id     uintptr
	queue  *CommandQueue
	serial uint64
	done   chan struct{} // closed when finished

	mu         sync.Mutex
	state      commandState
	rec        *recording
	open       *ComputeEncoder // not yet ended
	first      ComputeEncoder  // the usual command buffer has one encoder: no allocation for it
	taken      bool            // first is used
	label      string
	err        error
	start, end float64
}

type commandState uint8

const (
	recordingState commandState = iota
	committedState
	finishedState  // completed, failed, or never committed because recording failed
	discardedState // released without commit
)

// SetLabel names the command buffer in errors, debuggers and captures.
func (c *CommandBuffer) SetLabel(label string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != recordingState {
		return
	}
	c.label = label
	s := openScope()
	defer s.Close()
	s.send(c.id, selCommandSetLabel, s.String(label))
}

// ComputeEncoder starts recording compute commands. An earlier encoder of the command buffer must have ended.
func (c *CommandBuffer) ComputeEncoder(t DispatchType) (*ComputeEncoder, error) {
	const op = "metal: CommandBuffer.ComputeEncoder"
	if c == nil {
		return nil, fmt.Errorf("%s: %w", op, ErrReleased)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != recordingState:
		return nil, fmt.Errorf("%s: command buffer was committed or released: %w", op, ErrState)
	case c.open != nil:
		return nil, fmt.Errorf("%s: the previous encoder has not ended: %w", op, ErrState)
	case t != Serial && t != Concurrent:
		return nil, fmt.Errorf("%s: dispatch type %d: %w", op, t, ErrInvalidArgument)
	}
	m := &c.rec.Messages[0]
	set(m, selCommandEncoder, uintptr(t))
	m.Flag = objc.FlagRetain
	c.rec.Run(c.id, m, 1)
	if m.Flag == 0 {
		return nil, &Error{Op: "create compute encoder"}
	}
	e := &c.first
	if c.taken {
		e = &ComputeEncoder{}
	}
	c.taken = true
	*e = ComputeEncoder{cb: c, rec: c.rec, id: m.Flag, dev: c.queue.dev, tgLimit: c.queue.device.threadgroupBytes}
	c.open = e
	return e, nil
}

// Commit hands the commands to the GPU. It returns the first error of recording instead, if there was one, and then
// nothing is executed; the command buffer is finished with that error. A command buffer is committed once.
func (c *CommandBuffer) Commit() error {
	const op = "metal: CommandBuffer.Commit"
	if c == nil {
		return fmt.Errorf("%s: %w", op, ErrReleased)
	}
	handler, err := c.toCommitted(op)
	if err != nil {
		return err
	}
	// Not under the lock, with memory of its own, and with a reference of its own: the completion handler may run, and
	// release the command buffer, before commit returns.
	sender := objc.NewSender()
	m := &sender.Messages
	set(&m[0], selRetain)
	set(&m[1], selCommandAddCompletedHandler, handler)
	set(&m[2], selCommandCommit)
	set(&m[3], selRelease)
	sender.Run(c.id, &m[0], 4)
	sender.Free()
	return nil
}

// toCommitted makes the command buffer one in flight and returns its completion handler, or says why not.
func (c *CommandBuffer) toCommitted(op string) (handler uintptr, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == committedState || c.state == finishedState:
		return 0, fmt.Errorf("%s: committed before: %w", op, ErrState)
	case c.state == discardedState:
		return 0, fmt.Errorf("%s: %w", op, ErrReleased)
	case c.open != nil:
		return 0, fmt.Errorf("%s: an encoder has not ended: %w", op, ErrState)
	case c.err != nil:
		c.close(finishedState)
		return 0, c.err
	}
	c.state = committedState
	return await(c), nil
}

func (c *CommandBuffer) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.rec.Messages
	set(&m[0], selCommandStatus)
	set(&m[1], selCommandGPUStart)
	set(&m[2], selCommandGPUEnd)
	m[1].Flag, m[2].Flag = objc.FlagDouble, objc.FlagDouble
	c.rec.Run(c.id, &m[0], 3)
	c.start, c.end = m[1].Double(), m[2].Double()
	if CommandBufferStatus(m[0].Flag) != StatusCompleted {
		c.err = c.failure()
	}
	c.close(finishedState)
}

// failure reads the NSError of a command buffer that did not complete.
func (c *CommandBuffer) failure() error {
	s := openScope()
	defer s.Close()
	e := s.failure("", s.send(c.id, selCommandError))
	if e.Code == 0 {
		e.Code = int(ErrInternal)
	}
	return &CommandBufferError{Code: CommandBufferErrorCode(e.Code), Label: c.label, Domain: e.Domain, Description: e.Description}
}

// close frees everything and enters a final state; c.mu is held.
func (c *CommandBuffer) close(s commandState) {
	c.state = s
	send(c.id, selRelease)
	c.rec.free()
	c.rec = nil
	c.queue.drop()
	close(c.done)
}

// Release discards a command buffer that was not committed. A committed one frees itself when it completes, and Release
// does nothing. Idempotent, nil is fine.
func (c *CommandBuffer) Release() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != recordingState {
		return
	}
	if e := c.open; e != nil {
		e.finish()
	}
	if c.err == nil {
		c.err = errDiscarded
	}
	c.close(discardedState)
}

var errDiscarded = fmt.Errorf("metal: command buffer discarded: %w", ErrReleased)

// Done returns a channel that is closed when the command buffer has finished: completed, failed or discarded.
func (c *CommandBuffer) Done() <-chan struct{} {
	if c == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return c.done
}

// Wait waits until the GPU has finished the command buffer and returns its error, or until ctx ends and returns ctx's
// (the GPU continues). It parks the goroutine and holds no OS thread.
func (c *CommandBuffer) Wait(ctx context.Context) error {
	if c == nil {
		return fmt.Errorf("metal: CommandBuffer.Wait: %w", ErrReleased)
	}
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	if state == recordingState {
		return fmt.Errorf("metal: CommandBuffer.Wait: not committed: %w", ErrState)
	}
	select {
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitUntilCompleted is Wait without a context.
func (c *CommandBuffer) WaitUntilCompleted() error { return c.Wait(context.Background()) }

// Err is the error of recording or of execution so far: a *CommandBufferError for the latter.
func (c *CommandBuffer) Err() error {
	if c == nil {
		return ErrReleased
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Status is the stage the command buffer is in. One whose recording failed, or that was discarded, is in StatusError.
func (c *CommandBuffer) Status() CommandBufferStatus {
	if c == nil {
		return StatusError
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == recordingState:
		return StatusNotEnqueued
	case c.state == committedState:
		return CommandBufferStatus(send(c.id, selCommandStatus))
	case c.err != nil:
		return StatusError
	}
	return StatusCompleted
}

// GPUStartTime is when the GPU began, in seconds on the host's clock; 0 before completion.
func (c *CommandBuffer) GPUStartTime() float64 { start, _ := c.times(); return start }

// GPUEndTime is when the GPU was done, in seconds on the host's clock; 0 before completion.
func (c *CommandBuffer) GPUEndTime() float64 { _, end := c.times(); return end }

// GPUTime is how long the GPU was busy; 0 before completion.
func (c *CommandBuffer) GPUTime() time.Duration {
	start, end := c.times()
	return time.Duration((end - start) * float64(time.Second))
}

func (c *CommandBuffer) times() (start, end float64) {
	if c == nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start, c.end
}

// UseResidencySet makes a residency set resident while this command buffer runs (macOS 15).
func (c *CommandBuffer) UseResidencySet(set *ResidencySet) error {
	const op = "metal: CommandBuffer.UseResidencySet"
	if c == nil || set == nil {
		return fmt.Errorf("%s: %w", op, ErrReleased)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != recordingState {
		return fmt.Errorf("%s: command buffer was committed or released: %w", op, ErrState)
	}
	if set.dev != c.queue.dev {
		return fmt.Errorf("%s: %w", op, ErrForeignDevice)
	}
	if err := available(c.id, selCommandUseResidencySet); err != nil {
		return err
	}
	if err := c.hold(&set.object); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	send(c.id, selCommandUseResidencySet, set.id)
	return nil
}

// hold keeps o alive until the command buffer finishes.
func (c *CommandBuffer) hold(o *object) error {
	if o.released.Load() {
		return ErrReleased
	}
	if o.holder.Load() == c.serial {
		return nil
	}
	if !o.hold() {
		return ErrReleased
	}
	o.holder.Store(c.serial)
	c.rec.held = append(c.rec.held, o)
	return nil
}

// fail records the first error of recording.
func (c *CommandBuffer) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	return err
}
