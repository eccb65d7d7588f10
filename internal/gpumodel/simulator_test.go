package gpumodel

import (
	"math"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// What the simulator counts of ggml's kernel is, as a token, the kernel that the model describes.
func TestFromSimulator(t *testing.T) {
	const outs, k = 4096, 4096
	for f := F32; f <= Affine4; f++ {
		b := builder{engine: GGML}
		want := b.matvec(outs, k, f)
		counted := metalsim.Dispatch{
			Kernel:       "matvec_1",
			Threadgroups: want.Threadgroups, Threads: 32 * want.SIMDGroups, Memory: 1 << 10, Bytes: want.Bytes,
			Slots: outs * k * formats[f].kernel.countedSlots, InFlight: formats[f].kernel.countedInFlight,
		}
		got := FromSimulator([]metalsim.Dispatch{counted}, f, 0).Stages[0][0]
		want.Resident, want.Registers = 60, OwnRegisters
		if math.Abs(got.Slots/want.Slots-1) > 1e-9 || math.Abs(got.InFlight/want.InFlight-1) > 1e-9 {
			t.Errorf("%v: %+v, want %+v", f, got, want)
		}
		got.Slots, got.InFlight = want.Slots, want.InFlight
		if got != want {
			t.Errorf("%v: %+v, want %+v", f, got, want)
		}
	}
	// Dispatches are grouped by stage, whatever the stages are numbered from.
	token := FromSimulator([]metalsim.Dispatch{
		{Stage: 7, Threadgroups: 1, Threads: 64}, {Stage: 7, Threadgroups: 2, Threads: 33}, {Stage: 9, Threadgroups: 3, Threads: 1, Memory: 32 << 10},
	}, Q4_0, 1e-3)
	if len(token.Stages) != 2 || len(token.Stages[0]) != 2 || token.Stages[0][1].SIMDGroups != 2 || token.Stages[1][0].Resident != 1 || token.HostGuess != 1e-3 {
		t.Errorf("%+v", token)
	}
}
