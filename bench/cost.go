package bench

import "github.com/go-openelm/go-openelm/openelm"

// Cost is the least that a computation has to move and to calculate. Divided
// by the machine's limits it is the shortest time that it can take there.
type Cost struct {
	Bytes float64 `json:"bytes"` // weights, each read once, and the live KV cache
	Flop  float64 `json:"flop"`  // two for each multiply-add
}

// time is the roofline (Williams, Waterman and Patterson 2009): the shortest
// time in seconds under the limits, and what bounds it, "memory" or "compute".
func (c Cost) time(l LimitSample) (seconds float64, bound string) {
	memory, compute := c.Bytes/l.Read, c.Flop/l.MulAdd
	if compute > memory {
		return compute, "compute"
	}
	return memory, "memory"
}

// per is the share of each of n tokens.
func (c Cost) per(n int) Cost { return Cost{c.Bytes / float64(n), c.Flop / float64(n)} }

// passCost is the cost of evaluating rows tokens at the end of each of sequences
// texts of context tokens, at once. Logits are computed for the last row of
// each text only. Activations are left out: they stay in a cache.
func passCost(c *openelm.Config, w *openelm.Weights, sequences, rows, context int) Cost {
	var cost Cost
	seqs, n := float64(sequences), float64(sequences*rows)
	for t := range w.Tensors(c) {
		rows := n
		switch t.Role {
		case openelm.RoleEmbedding: // one row for each token, which costs no arithmetic
			cost.Bytes += n * float64(t.Matrix.Bytes()) / float64(t.Rows)
			if !c.TiedHead {
				continue
			}
			rows = seqs // as the head
		case openelm.RoleHead:
			rows = seqs
		}
		cost.Bytes += float64(t.Bytes())
		if t.Matrix != nil {
			cost.Flop += 2 * float64(t.Rows) * float64(t.Cols) * rows
		}
	}

	// Keys and values: those before are read, the new ones are written.
	cost.Bytes += seqs * float64(c.CacheBytes()) * float64(context+rows)
	// Row r sees context + r + 1 positions: q·k and weight·v, a multiply-add each.
	seen := float64(rows)*float64(context) + float64(rows)*float64(rows+1)/2
	for _, l := range c.Layers {
		cost.Flop += seqs * 4 * seen * float64(l.QueryHeads) * float64(c.HeadDim)
	}
	return cost
}

// weightBytes is the size of all weights of a model.
func weightBytes(c *openelm.Config, w *openelm.Weights) int64 {
	var n int64
	for t := range w.Tensors(c) {
		n += int64(t.Bytes())
	}
	return n
}
