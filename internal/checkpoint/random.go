package checkpoint

import (
	"hash/fnv"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
)

// stream is the random weights of one tensor: independent values with the given
// mean and standard deviation, each a function of its position alone, so that
// any part can be made on any core.
type stream struct {
	base      uint64
	mean, std float32
}

func newStream(seed uint64, tensor string, mean, std float64) stream {
	h := fnv.New64a()
	io.WriteString(h, tensor) // never fails
	return stream{base: mix(seed) ^ h.Sum64(), mean: float32(mean), std: float32(std)}
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fill sets dst to the values from position first on. The sum of four uniform
// values stands in for a normal one: a quarter of the time, no long tails.
func (s stream) fill(dst []float32, first int) {
	// A uniform value of 0 … 65535 has mean 32767.5 and variance (65536² − 1)/12.
	unit := s.std / float32(math.Sqrt(4*(65536.0*65536.0-1)/12))
	offset := s.mean - unit*4*32767.5
	for i := range dst {
		z := mix(s.base + uint64(first+i)*0x9e3779b97f4a7c15)
		sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
		dst[i] = offset + float32(unit*float32(sum)) // converted: not fused, the same on every machine
	}
}

// chunk is about how many weights are made at a time by each core.
const chunk = 1 << 18

// write makes rows × cols values, from row start of the stream on, and writes
// what encode turns each row into, which is rowBytes long. The cores work on
// different rows.
func (s stream) write(w io.Writer, start, rows, cols, rowBytes int, encode func(dst []byte, row []float32)) error {
	workers := runtime.GOMAXPROCS(0)
	step := max(1, chunk/cols)
	out := make([][]byte, workers)
	for first := 0; first < rows; first += workers * step {
		var wg sync.WaitGroup
		for i := range out {
			begin := min(first+i*step, rows)
			n := min(step, rows-begin)
			out[i] = slices.Grow(out[i][:0], n*rowBytes)[:n*rowBytes]
			wg.Go(func() {
				row := make([]float32, cols)
				for r := range n {
					s.fill(row, (start+begin+r)*cols)
					encode(out[i][r*rowBytes:(r+1)*rowBytes], row)
				}
			})
		}
		wg.Wait()
		for _, b := range out {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}
