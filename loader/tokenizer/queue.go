package tokenizer

// mergeQueue holds the possible merges of a segment and hands them out by rank
// and, among equals, from left to right.
//
// Merges of one rank are mostly found from left to right too. Such a run is kept
// as a list, and the heap holds only the first of each run: for a long text of few
// different pairs, a megabyte of spaces say, both operations take constant time.
// At worst every run has one merge, and they take log n.
type mergeQueue struct {
	heap  []run
	items []item
	free  int32     // 1 + a taken item, the head of a list linked by pos; 0 if there is none
	last  [64]int32 // item last added, by rank modulo 64: possibly the end of a run to extend
}

// run is a list of merges of one rank in rising order of position.
type run struct {
	key   uint64 // rank and position of the first: one comparison for both
	first int32  // in items
}

type item struct {
	rank      uint32
	pos, next int32 // next in items, or one of the following
}

const (
	runEnd = -1
	taken  = -2
)

func (i item) key() uint64 { return uint64(i.rank)<<32 | uint64(i.pos) }

func (q *mergeQueue) empty() bool { return len(q.heap) == 0 }

func (q *mergeQueue) push(rank uint32, pos int32) {
	n := q.free - 1
	if n >= 0 {
		q.free = q.items[n].pos
		q.items[n] = item{rank, pos, runEnd}
	} else {
		n = int32(len(q.items))
		q.items = appendDoubling(q.items, item{rank, pos, runEnd})
	}
	// What last holds may stem from an earlier segment; only its content counts.
	last := &q.last[rank%uint32(len(q.last))]
	if int(*last) < len(q.items) {
		if end := &q.items[*last]; end.rank == rank && end.next == runEnd && end.pos < pos {
			*last, end.next = n, n
			return
		}
	}
	*last = n

	q.heap = append(q.heap, run{})
	r := run{q.items[n].key(), n}
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if q.heap[parent].key <= r.key {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = r
}

// pop takes the merge that comes first. The queue must not be empty.
func (q *mergeQueue) pop() (rank uint32, pos int32) {
	first := q.heap[0].first
	top := &q.items[first]
	rank, pos = top.rank, top.pos
	next := top.next
	top.next, top.pos = taken, q.free
	q.free = first + 1
	if next != runEnd {
		q.down(run{q.items[next].key(), next})
		return rank, pos
	}
	end := len(q.heap) - 1
	r := q.heap[end]
	q.heap = q.heap[:end]
	if end > 0 {
		q.down(r)
	} else {
		q.items, q.free = q.items[:0], 0
	}
	return rank, pos
}

// down replaces the top of the heap by r and moves it to its place.
func (q *mergeQueue) down(r run) {
	i := 0
	for {
		child := 2*i + 1
		if child+1 < len(q.heap) && q.heap[child+1].key < q.heap[child].key {
			child++
		}
		if child >= len(q.heap) || q.heap[child].key >= r.key {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	q.heap[i] = r
}
