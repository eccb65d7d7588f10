package gpumodel

// Chip is an Apple GPU.
type Chip struct {
	Name       string // with the number of GPU cores, as chips are sold with several
	Generation int    // M1 is 1
	Cores      int
	ClockGHz   float64
	Bandwidth  float64 // of the memory, as Apple states it, in bytes a second
	Dies       int
	Clock      string // where the clock is from
}

// Where clocks are from. Apple does not state them.
const (
	benchmarked = "philipturner/metal-benchmarks, README"
	inferred    = "F16 prompt speed a core of llama.cpp, relative to the M2's"
	guessed     = "guess from the M4's; prompt speeds a core of M5 builds mix in its matrix units"
)

// Chips are the GPUs that the published figures are of, and those that reports are made for.
var Chips = []Chip{
	{"M1 8c", 1, 8, 1.278, 68e9, 1, benchmarked},
	{"M1 Pro 14c", 1, 14, 1.296, 200e9, 1, benchmarked},
	{"M1 Pro 16c", 1, 16, 1.296, 200e9, 1, benchmarked},
	{"M1 Max 24c", 1, 24, 1.296, 400e9, 1, benchmarked},
	{"M1 Max 32c", 1, 32, 1.296, 400e9, 1, benchmarked},
	{"M1 Ultra 64c", 1, 64, 1.296, 800e9, 2, benchmarked},
	{"M2 10c", 2, 10, 1.398, 100e9, 1, benchmarked},
	{"M2 Pro 16c", 2, 16, 1.398, 200e9, 1, benchmarked},
	{"M2 Pro 19c", 2, 19, 1.398, 200e9, 1, benchmarked},
	{"M2 Max 30c", 2, 30, 1.398, 400e9, 1, benchmarked},
	{"M2 Max 38c", 2, 38, 1.398, 400e9, 1, benchmarked},
	{"M2 Ultra 60c", 2, 60, 1.398, 800e9, 2, benchmarked},
	{"M2 Ultra 76c", 2, 76, 1.398, 800e9, 2, benchmarked},
	{"M3 10c", 3, 10, 1.38, 100e9, 1, inferred},
	{"M3 Pro 18c", 3, 18, 1.38, 150e9, 1, inferred},
	{"M3 Max 30c", 3, 30, 1.38, 300e9, 1, inferred},
	{"M3 Max 40c", 3, 40, 1.38, 400e9, 1, inferred},
	{"M3 Ultra 60c", 3, 60, 1.38, 819e9, 2, inferred},
	{"M3 Ultra 80c", 3, 80, 1.38, 819e9, 2, inferred},
	{"M4 10c", 4, 10, 1.58, 120e9, 1, inferred},
	{"M4 Pro 16c", 4, 16, 1.58, 273e9, 1, inferred},
	{"M4 Pro 20c", 4, 20, 1.58, 273e9, 1, inferred},
	{"M4 Max 32c", 4, 32, 1.58, 410e9, 1, inferred},
	{"M4 Max 40c", 4, 40, 1.58, 546e9, 1, inferred},
	{"M5 10c", 5, 10, 1.62, 153e9, 1, guessed},
	{"M5 Pro 16c", 5, 16, 1.62, 307e9, 1, guessed},
	{"M5 Max 40c", 5, 40, 1.62, 614e9, 1, guessed},
}

// ChipNamed finds a chip by its name.
func ChipNamed(name string) (Chip, bool) {
	for _, c := range Chips {
		if c.Name == name {
			return c, true
		}
	}
	return Chip{}, false
}
