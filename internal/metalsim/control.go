package metalsim

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Variable is the environment variable package metal finds the simulator's library by.
const Variable = "METALSIM"

// Simulator controls the simulator loaded into this process. There is one per process, so tests using it do not run in
// parallel with each other. On macOS, where package metal uses the real Metal, its methods do nothing and Simulated is
// false: the same tests run there.
type Simulator struct {
	lib library
}

// Start builds the simulator (or finds it built), points package metal to it, forgets what earlier tests did, and at the
// end of the test fails it for every violation that was not taken and every Objective-C object that was not released.
func Start(t testing.TB) *Simulator {
	t.Helper()
	s, err := Open()
	if err != nil {
		t.Fatalf("metalsim: %v", err)
	}
	before := s.Objects()
	s.Reset()
	t.Cleanup(func() {
		for _, v := range s.TakeViolations() {
			t.Errorf("metalsim: %v", v)
		}
		for class, n := range s.leaks(before) {
			t.Errorf("metalsim: %d objects of class %s were not released", n, class)
		}
		s.Reset()
	})
	return s
}

// leaks are the objects living now beyond those before. A completed command buffer lives until the thread that ran it
// lets go, a moment after its completion handler.
func (s *Simulator) leaks(before map[string]int64) map[string]int64 {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		more := map[string]int64{}
		for class, n := range s.Objects() {
			if n > before[class] {
				more[class] = n - before[class]
			}
		}
		if len(more) == 0 || time.Now().After(deadline) {
			return more
		}
	}
}

// Open builds the simulator (or finds it built) and loads it into this process. METALSIM, if set, names the library to
// load instead.
func Open() (*Simulator, error) {
	path := os.Getenv(Variable)
	if path == "" && simulated {
		var err error
		if path, err = Build(); err != nil {
			return nil, err
		}
		if err := os.Setenv(Variable, path); err != nil {
			return nil, err
		}
	}
	lib, err := openLibrary(path)
	if err != nil {
		return nil, err
	}
	return &Simulator{lib: lib}, nil
}

// Simulated reports whether Metal is simulated on this platform.
func (s *Simulator) Simulated() bool { return simulated }

// Violation is something a real GPU, Apple's compiler or Metal's validation layer would punish.
type Violation struct {
	Kind         string // such as "hazard between dispatches"; see the package's README
	Message      string
	Kernel, File string // empty for those of the CPU side
	Line, Column int
	Count        uint64 // how often
}

func (v Violation) String() string {
	at := ""
	if v.File != "" {
		at = fmt.Sprintf("%s:%d:%d: ", v.File, v.Line, v.Column)
	}
	if v.Kernel != "" {
		at += v.Kernel + ": "
	}
	return at + v.Kind + ": " + v.Message
}

// Violations are those since Reset, in order, equal ones counted.
func (s *Simulator) Violations() []Violation {
	return decode[[]Violation](s, "metalsim_violations_json")
}

// TakeViolations returns the violations and forgets them: a test that provokes some takes them.
func (s *Simulator) TakeViolations() []Violation {
	v := s.Violations()
	s.lib.call("metalsim_clear_violations")
	return v
}

// Traffic is bytes moved. The unique ones count each byte once per dispatch: what no cache can avoid.
type Traffic struct {
	Read, Written, UniqueRead, UniqueWritten uint64
}

// KernelTotals are sums over the dispatches of one kernel.
type KernelTotals struct {
	Dispatches, Threadgroups, Threads   uint64
	ThreadgroupBarriers, SIMDOperations uint64
	Bytes                               Traffic
	Seconds                             float64 // wall time in the simulator
}

// Totals are what happened since Reset. Bytes are counted in modes "count" and "check".
type Totals struct {
	Messages       uint64 // Objective-C messages
	CommandBuffers uint64 // created
	Commits        uint64
	Waits          uint64 // command buffers waited for: waitUntilCompleted, or a completion handler
	Encoders       uint64
	Dispatches     uint64 // executed
	MemoryBarriers uint64
	Buffers        uint64 // created, wrapped ones included
	Libraries      uint64 // compiled
	Pipelines      uint64

	Threadgroups, Threads, ThreadgroupBarriers uint64
	Bytes                                      Traffic
	Kernels                                    map[string]KernelTotals
	Labels                                     map[string]Traffic // by buffer label; "setBytes" for those
}

// Counters returns what happened since Reset.
func (s *Simulator) Counters() Totals { return decode[Totals](s, "metalsim_counters_json") }

// Dispatch is one executed dispatch. Dispatches between two barriers are of one stage; those of a serial encoder are each
// of their own. Issue slots and loads in flight are counted in mode "count": what the kernel's instructions, as clang
// optimises them, would cost an Apple GPU by the table in engine/work.cpp. They do not know how Apple's compiler schedules.
type Dispatch struct {
	Kernel                string
	Stage                 int
	Threadgroups, Threads int     // threads of a threadgroup
	Memory                int     // bytes of threadgroup memory of a threadgroup
	Bytes                 float64 // of buffers, read or written, each counted once
	Slots                 float64 // issue slots of all lanes; one is a multiply-add
	InFlight              float64 // bytes of independent loads of a lane, mean over the bytes loaded
}

// Dispatches lists those executed since Reset, in order of execution.
func (s *Simulator) Dispatches() []Dispatch { return decode[[]Dispatch](s, "metalsim_dispatches_json") }

// Event is the commit of a command buffer, or its completion.
type Event struct {
	CommandBuffer uint64
	Completed     bool
}

// Events lists those since Reset, in the order in which they happened.
func (s *Simulator) Events() []Event { return decode[[]Event](s, "metalsim_events_json") }

// Objects counts the living Objective-C objects by class.
func (s *Simulator) Objects() map[string]int64 {
	return decode[map[string]int64](s, "metalsim_objects_json")
}

// Reset forgets violations, counters, faults and times, and brings back a lost device. Settings and objects stay.
func (s *Simulator) Reset() { s.lib.call("metalsim_reset") }

// Line is a source line of a kernel that has code.
type Line struct {
	File    string // "program_source", or what a #line directive said
	Source  uint64 // tells apart sources of the same name; from their text
	Line    int
	Hit     int // 1: it ran
	Partial int // 1: not all of its branches did
}

// Coverage lists the lines of all kernels compiled with the setting coverage=1 since the process began.
func (s *Simulator) Coverage() []Line { return decode[[]Line](s, "metalsim_coverage_json") }

// Fault is a kind of call that can be made to fail.
type Fault string

// Faults. Execution is a command buffer failing on the GPU after half of its dispatches.
const (
	FaultBuffer        Fault = "buffer"
	FaultLibrary       Fault = "library"
	FaultFunction      Fault = "function"
	FaultPipeline      Fault = "pipeline"
	FaultQueue         Fault = "queue"
	FaultCommandBuffer Fault = "command buffer"
	FaultEncoder       Fault = "encoder"
	FaultExecution     Fault = "execution"
	FaultResidencySet  Fault = "residency set"
)

// FailAt makes the n-th call of a kind from now on fail, counted from 1; 0 takes a fault back. code is the
// MTLCommandBufferError of FaultExecution; with 4 (access revoked) and 11 (device removed) all later command buffers
// fail, too, until Reset.
func (s *Simulator) FailAt(kind Fault, n uint64, code int) {
	s.lib.callText("metalsim_fail_at", string(kind), uintptr(n), uintptr(code))
}

// SetTime makes a dispatch of a kernel, in threadgroups of so many threads, take so long by the GPU's clock, until Reset; it
// is executed as ever, or not. A command buffer that has one takes what its dispatches take by this clock.
func (s *Simulator) SetTime(kernel string, threads int, d time.Duration) {
	s.lib.callText("metalsim_set_time", kernel, uintptr(threads), uintptr(d))
}

// SetSeed chooses the order in which threadgroups, SIMD-groups, and dispatches between barriers run; 0 is ascending.
func (s *Simulator) SetSeed(seed uint64) { s.Configure("seed", fmt.Sprint(seed)) }

// Configure changes a setting, which the environment variable METALSIM_ and its name in capitals sets at start:
//
//	os        macOS version, 12 to 26: which selectors and language versions exist (15)
//	family    Apple GPU family, 5 to 9: apple7 is an M1, apple9 an M3 (9)
//	gpu       apple, paravirtual (what virtual machines see), intel or amd (apple)
//	width     threads of a SIMD-group that pipelines report; 0: what the GPU has (0)
//	lacks     selectors, separated by spaces, that no object has ("")
//	devices   how many devices there are, 0 to 4 (1)
//	mode      of kernels compiled from now on: plain, count or check (check)
//	seed      see SetSeed (0)
//	coverage  1: count executed lines of kernels compiled from now on (0)
//	execute   0: command buffers complete without running their dispatches (1)
//	buffer    bytes of the largest buffer (9 GiB)
//	finish    when a command buffer completes: later than -commit; early, before -commit returns; or another, which is
//	          later, with another object handed to its handlers than the client has (later)
//	memory    bytes that can be allocated before allocations are refused (16 GiB)
//
// A setting or value that does not exist is a mistake in the test and panics.
func (s *Simulator) Configure(name, value string) {
	if simulated && s.lib.configure(name, value) != 0 {
		panic(fmt.Sprintf("metalsim: no setting %s=%s", name, value))
	}
}

// Set is Configure for the length of a test, with the value it had at start restored after it.
func (s *Simulator) Set(t testing.TB, name, value string) {
	t.Helper()
	initial := map[string]string{"os": "15", "family": "9", "devices": "1", "mode": "check", "seed": "0", "coverage": "0", "execute": "1", "memory": "17179869184", "buffer": "9663676416",
		"gpu": "apple", "width": "0", "lacks": "", "finish": "later"}
	back, ok := initial[name]
	if v := os.Getenv("METALSIM_" + strings.ToUpper(name)); v != "" {
		back = v
	}
	if !ok {
		t.Fatalf("metalsim: no setting %s", name)
	}
	s.Configure(name, value)
	t.Cleanup(func() { s.Configure(name, back) })
}

// Method is one method of a simulated class.
type Method struct {
	Class, Kind string // Kind is "+" for class methods, "-" for those of instances
	Selector    string
	Types       string // as in package metal's table
	Since       string // first macOS that has it, "0" for all
	Sent        string // messages with this selector since the process began, "0" for none
}

// Methods lists what the simulator implements.
func (s *Simulator) Methods() []Method {
	var out []Method
	for _, m := range decode[[][6]string](s, "metalsim_methods_json") {
		out = append(out, Method{m[0], m[1], m[2], m[3], m[4], m[5]})
	}
	slices.SortFunc(out, func(a, b Method) int {
		return strings.Compare(a.Class+a.Kind+a.Selector, b.Class+b.Kind+b.Selector)
	})
	return out
}

// decode calls a function that returns JSON.
func decode[T any](s *Simulator, function string) T {
	var v T
	text := s.lib.call(function)
	if text == "" {
		return v
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(fmt.Sprintf("metalsim: %s: %v", function, err))
	}
	return v
}
