package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/openelm"
)

// probeRequest is what a child process is asked to do.
type probeRequest struct {
	Path    string `json:"path"` // empty: the story model
	Device  string `json:"device"`
	Threads int    `json:"threads"`
	Prompt  int    `json:"prompt"` // tokens before the first
	Tokens  int    `json:"tokens"` // decoded after it

	Activations Activations `json:"activations"`
}

func (q *probeRequest) capacity() int { return q.Prompt + q.Tokens + 1 }

// probeReply is what it found, after the line that says it has its first token.
type probeReply struct {
	LoadSeconds float64 `json:"load_seconds"`
	Resident    int64   `json:"resident"`
	Peak        int64   `json:"peak"`
}

const firstTokenLine = "first token\n"

// ServeProbe is what the program of Options.Child calls: it reads a request
// from in, opens the model, evaluates a short prompt, chooses a token, says so
// on out, decodes a few more, and writes what that took.
func ServeProbe(ctx context.Context, in io.Reader, out io.Writer, devices []Device) (err error) {
	var q probeRequest
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("bench: probe: %w", err)
	}
	for _, d := range devices {
		if d.Name == q.Device {
			return q.serve(ctx, d, out)
		}
	}
	return fmt.Errorf("bench: probe: no device %q", q.Device)
}

func (q *probeRequest) serve(ctx context.Context, d Device, out io.Writer) error {
	start := time.Now()
	backend, err := d.open(q.Threads, q.Activations)
	if err != nil {
		return err
	}
	defer backend.Close()
	m, err := open(ctx, q.Path, backend)
	if err != nil {
		return err
	}
	defer m.Close()
	reply := probeReply{LoadSeconds: time.Since(start).Seconds()}
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: q.capacity()})
	if err != nil {
		return err
	}
	defer s.Close()
	prompt := randomTokens(m.Config().VocabSize, q.Prompt)
	n := 0
	for _, err := range s.Generate(ctx, prompt, &openelm.GenerateOptions{MaxTokens: q.Tokens + 1, IgnoreEOS: true}) {
		if err != nil {
			return err
		}
		if n++; n == 1 {
			if _, err := io.WriteString(out, firstTokenLine); err != nil {
				return err
			}
		}
	}
	reply.Resident, reply.Peak = resident()
	return json.NewEncoder(out).Encode(reply)
}

// probe starts a child and returns its reply, and the seconds from its start to
// its first token.
func probe(ctx context.Context, child []string, q probeRequest) (reply probeReply, first float64, err error) {
	request, err := json.Marshal(q)
	if err != nil {
		return reply, 0, err
	}
	cmd := exec.CommandContext(ctx, child[0], child[1:]...)
	cmd.Stdin = bytes.NewReader(request)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return reply, 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return reply, 0, orCause(ctx, err)
	}
	out := bufio.NewReader(pipe)
	line, readErr := out.ReadString('\n')
	first = time.Since(start).Seconds()
	if readErr == nil && line != firstTokenLine {
		readErr = fmt.Errorf("it said %q", line)
	}
	if readErr == nil {
		readErr = json.NewDecoder(out).Decode(&reply)
	}
	err = cmd.Wait()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	case readErr != nil && !errors.Is(readErr, io.EOF):
		err = readErr
	case readErr != nil:
		err = errors.New("it ended without an answer")
	}
	return reply, first, orCause(ctx, err)
}

// probePrompt is the length of the prompt before the first token.
const probePrompt = 16

// planStart adds the measurements that take a process of their own.
func (r *run) planStart(m model, d Device, side *side) {
	s := side.Subject
	load := r.result(s, Test{Kind: Load})
	first := r.result(s, Test{Kind: FirstToken, Tokens: probePrompt})
	steady, peak := r.result(s, Test{Kind: Steady}), r.result(s, Test{Kind: Peak})
	q := probeRequest{Path: m.path, Device: d.Name, Threads: s.Threads, Prompt: probePrompt, Tokens: r.Tokens, Activations: s.Activations}
	needed := Cost{Bytes: float64(s.WeightBytes + side.model.Config().CacheBytes()*int64(q.capacity()))}
	steady.Cost, peak.Cost = &needed, &needed
	r.addStep(first, func(ctx context.Context) (func(), error) {
		reply, seconds, err := probe(ctx, r.Child, q)
		return func() {
			load.Samples = append(load.Samples, reply.LoadSeconds)
			first.Samples = append(first.Samples, seconds)
			if reply.Resident > 0 { // not every system tells
				steady.Samples = append(steady.Samples, float64(reply.Resident))
				peak.Samples = append(peak.Samples, float64(reply.Peak))
			}
		}, err
	})
}
