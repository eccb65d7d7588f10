package schema

import (
	"slices"
	"sort"
)

// frame is where a value stands that has begun.
type frame struct {
	*node
	phase phase
	// What they are depends on the phase: a range [low, high) of words or names that
	// agree with the first at bytes written; a count; where in a character.
	low, high, at int32
	count         int32
	char          char
	digits        string // so far, of a bounded number
}

// cell is a frame on a stack.
type cell struct {
	frame
	up *cell // the value that this one is part of
	id int   // of one that is kept
}

type phase uint8

const (
	opening phase = iota // nothing is written yet
	writing              // of a text, literal or number
	first                // after the bracket that opens
	comma                // after a comma, or a comma and a space
	space                // after a comma, where one space may come
	key                  // in the name of a property that the schema names
	extra                // in another name
	colon                // after another name
	value                // after a colon, where one space may come
	inside               // a part is being written
	after                // a part is complete

	// Of a number: what was written last.
	minus
	zero
	whole
	point
	fraction
	exponent
	sign
	powerOf10
)

// maxThreads bounds the ways in which what is written may be understood. Any one of
// them can be completed, so that those beyond it can be left out.
const maxThreads = 64

// machine takes bytes. Its stacks are either kept for good, and then the same ones
// are the same cell, or until release.
type machine struct {
	kept map[cell]*cell

	scratch []*[arena]cell
	used    int
	walking bool // cells are for a while

	out  []*cell // of a step
	done bool    // the value is complete
}

const arena = 256

// push adds a stack to what a step leads to.
func (m *machine) push(f frame, up *cell) {
	m.add(m.cell(f, up))
}

func (m *machine) add(c *cell) {
	if len(m.out) >= maxThreads {
		return
	}
	for _, o := range m.out {
		if o == c || o.frame == c.frame && o.up == c.up {
			return
		}
	}
	m.out = append(m.out, c)
}

func (m *machine) cell(f frame, up *cell) *cell {
	c := cell{frame: f, up: up}
	if !m.walking {
		if k, ok := m.kept[c]; ok {
			return k
		}
		k := new(cell)
		*k = c
		m.kept[c] = k
		k.id = len(m.kept)
		return k
	}
	if m.used/arena == len(m.scratch) {
		m.scratch = append(m.scratch, new([arena]cell))
	}
	k := &m.scratch[m.used/arena][m.used%arena]
	m.used++
	*k = c
	return k
}

// start adds the beginnings of a value.
func (m *machine) start(n *node, up *cell) {
	if n.kind == choice {
		for _, a := range n.any {
			m.start(a, up)
		}
		return
	}
	f := frame{node: n}
	if n.kind == literal {
		f.phase, f.high = writing, int32(len(n.words))
	}
	m.push(f, up)
}

// pop goes on after a value that is complete.
func (m *machine) pop(up *cell) {
	if up == nil {
		m.done = true
		return
	}
	f := up.frame
	f.phase = after
	m.push(f, up.up)
}

// step adds what a stack becomes with one more byte, if anything.
func (m *machine) step(c *cell, b byte) {
	switch c.kind {
	case literal:
		m.literal(c, b)
	case text:
		m.text(c, b)
	case number:
		m.number(c, b)
	case array:
		m.array(c, b)
	case object:
		m.object(c, b)
	}
}

func (m *machine) literal(c *cell, b byte) {
	f := c.frame
	f.low, f.high = narrow(f.low, f.high, func(i int32) int { return byteAt(f.words[i], f.at) }, b)
	if f.low == f.high {
		return
	}
	if f.at++; int(f.at) == len(f.words[f.low]) {
		m.pop(c.up)
		f.low++ // it is a word, and others may begin with it
	}
	if f.low < f.high {
		m.push(f, c.up)
	}
}

// narrow is the part of a sorted range whose byte is b.
func narrow(low, high int32, at func(int32) int, b byte) (int32, int32) {
	from := func(least int) int32 {
		return low + int32(sort.Search(int(high-low), func(i int) bool { return at(low+int32(i)) >= least }))
	}
	return from(int(b)), from(int(b) + 1)
}

// byteAt is −1 behind the end.
func byteAt(s string, i int32) int {
	if int(i) >= len(s) {
		return -1
	}
	return int(s[i])
}

func (m *machine) text(c *cell, b byte) {
	f := c.frame
	switch {
	case f.phase == opening:
		if b == '"' {
			f.phase = writing
			m.push(f, c.up)
		}
	case f.char == boundary && b == '"':
		if int(f.count) >= f.least {
			m.pop(c.up)
		}
	case f.char == boundary && f.most >= 0 && int(f.count) == f.most:
	default:
		next, ok := f.char.next(b)
		if !ok {
			return
		}
		if f.char = next; next == boundary && (f.most >= 0 || int(f.count) < f.least) {
			f.count++
		}
		m.push(f, c.up)
	}
}

func (m *machine) number(c *cell, b byte) {
	f := c.frame
	digit := '0' <= b && b <= '9'
	if f.bounds != nil {
		if !digit && b != '-' && b != '.' {
			return
		}
		f.digits += string(b)
		complete, possible := f.bounds.at(f.digits)
		if complete {
			m.pop(c.up)
		}
		if possible {
			f.phase = writing
			m.push(f, c.up)
		}
		return
	}
	switch f.phase {
	case opening, minus:
		switch {
		case b == '0':
			f.phase = zero
		case digit:
			f.phase, f.count = whole, 1
		case b == '-' && f.phase == opening:
			f.phase = minus
		default:
			return
		}
	case zero, whole, fraction:
		switch {
		case digit && f.phase != zero && f.count < digits:
			f.count++
		case b == '.' && f.phase != fraction && !f.integer:
			f.phase, f.count = point, 0
		case (b == 'e' || b == 'E') && !f.integer:
			f.phase, f.count = exponent, 0
		default:
			return
		}
	case point:
		if !digit {
			return
		}
		f.phase, f.count = fraction, 1
	case exponent, sign:
		switch {
		case digit:
			f.phase, f.count = powerOf10, 1
		case (b == '+' || b == '-') && f.phase == exponent:
			f.phase = sign
		default:
			return
		}
	case powerOf10:
		if !digit || f.count == 2 {
			return
		}
		f.count++
	}
	switch f.phase {
	case zero, whole, fraction, powerOf10:
		m.pop(c.up)
	}
	m.push(f, c.up)
}

func (m *machine) array(c *cell, b byte) {
	f := c.frame
	part := func() {
		if item := f.item(int(f.count)); item != nil {
			f.phase = inside
			m.start(item, m.cell(f, c.up))
		}
	}
	switch f.phase {
	case opening:
		if b != '[' {
			return
		}
		f.phase = first
		if f.least == 0 {
			m.push(f, c.up) // for the bracket
		}
		part()
	case first:
		if b == ']' {
			m.pop(c.up)
		}
	case after:
		if f.most >= 0 || int(f.count) < max(f.least, len(f.prefix)) {
			f.count++
		}
		switch {
		case b == ']' && int(f.count) >= f.least:
			m.pop(c.up)
		case b == ',' && f.item(int(f.count)) != nil:
			f.phase = space
			m.push(f, c.up)
			part()
		}
	case space:
		if b == ' ' {
			part()
		}
	}
}

func (m *machine) object(c *cell, b byte) {
	f := c.frame
	switch f.phase {
	case opening:
		if b == '{' {
			f.phase = first
			m.push(f, c.up)
		}
	case first:
		if b == '}' && f.required[0] == int32(len(f.properties)) {
			m.pop(c.up)
		} else if b == '"' {
			m.name(f, c.up)
		}
	case after:
		f.count = min(f.count+1, int32(len(f.properties))) // what comes next
		switch {
		case b == '}' && f.required[f.count] == int32(len(f.properties)):
			m.pop(c.up)
		case b == ',' && f.more(f.count):
			f.phase = space
			m.push(f, c.up)
		}
	case space, comma:
		if b == ' ' && f.phase == space {
			f.phase = comma
			m.push(f, c.up)
		} else if b == '"' {
			m.name(f, c.up)
		}
	case key:
		spelled := func(i int32) string { return f.properties[f.byName[i]].key }
		f.low, f.high = narrow(f.low, f.high, func(i int32) int { return byteAt(spelled(i), f.at) }, b)
		if !f.open() {
			return
		}
		if f.at++; int(f.at) < len(spelled(f.low)) {
			m.push(f, c.up)
			return
		}
		f.count = f.byName[f.low]
		m.part(f, c.up)
	case extra:
		m.extra(f, c.up, b)
	case colon:
		if b == ':' {
			m.part(f, c.up)
		}
	case value:
		if b == ' ' {
			f.phase = inside
			m.start(f.part(), m.cell(f, c.up))
		}
	}
}

// open reports whether a name in the range may come now: one from the next property
// on, up to the first that is required.
func (f *frame) open() bool {
	for i := f.low; i < f.high; i++ {
		if p := f.byName[i]; p >= f.count && p <= f.required[f.count] {
			return true
		}
	}
	return false
}

// name begins the name of a property, after its quote.
func (m *machine) name(f frame, up *cell) {
	n := int32(len(f.properties))
	f.low, f.high, f.at = 0, n, 1
	if f.count < n {
		f.phase = key
		m.push(f, up)
	}
	if f.rest != nil && f.required[f.count] == n {
		f.phase, f.count, f.at = extra, n, 0
		m.push(f, up)
	}
}

// extra goes on with a name that is none of the properties'. As long as it is the
// beginning of one, nothing is escaped, so that there is one way to spell it.
func (m *machine) extra(f frame, up *cell, b byte) {
	name := func(i int32) string { return f.properties[f.byName[i]].name() }
	if b == '"' && f.char == boundary {
		if f.low < f.high && int(f.at) == len(name(f.low)) {
			return
		}
		f.phase, f.low, f.high, f.at = colon, 0, 0, 0
		m.push(f, up)
		return
	}
	next, ok := f.char.next(b)
	if f.low < f.high {
		ok = ok && b != '\\'
		if f.low, f.high = narrow(f.low, f.high, func(i int32) int { return byteAt(name(i), f.at) }, b); f.low == f.high {
			f.low, f.high, f.at = 0, 0, -1
		}
		f.at++
	}
	if f.char = next; ok {
		m.push(f, up)
	}
}

// part is the value that count says.
func (f *frame) part() *node {
	if int(f.count) < len(f.properties) {
		return f.properties[f.count].value
	}
	return f.rest
}

// part begins a property's value, after the colon.
func (m *machine) part(f frame, up *cell) {
	f.low, f.high, f.at, f.phase = 0, 0, 0, value
	m.push(f, up)
	f.phase = inside
	m.start(f.part(), m.cell(f, up))
}

// char is where in a character of a string its bytes stand: between two, in one of
// several bytes, or in an escape.
type char uint8

const (
	boundary char = iota
	one1          // one byte of the form 10xxxxxx is left
	two
	three
	afterE0 // the next one has a narrower range, for two to be left with it
	afterED
	afterF0
	afterF4
	backslash
	codePoint
	codePoint0
	codePoint00
	codePoint000
	codePoint007
)

// next is the state after a byte of a character that may be spelled so: as UTF-8,
// or an escape where there must be one.
func (c char) next(b byte) (char, bool) {
	between := func(low, high byte, then char) (char, bool) { return then, low <= b && b <= high }
	hex := func() bool { return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F' }
	switch c {
	case boundary:
		switch {
		case b == '\\':
			return backslash, true
		case b == 0x7F || b < 0x20 || b == '"':
			return 0, false
		case b < 0x80:
			return boundary, true
		case b < 0xC2 || b > 0xF4:
			return 0, false
		case b < 0xE0:
			return one1, true
		case b == 0xE0:
			return afterE0, true
		case b == 0xED:
			return afterED, true
		case b < 0xF0:
			return two, true
		case b == 0xF0:
			return afterF0, true
		case b == 0xF4:
			return afterF4, true
		}
		return three, true
	case one1:
		return between(0x80, 0xBF, boundary)
	case two:
		return between(0x80, 0xBF, one1)
	case three:
		return between(0x80, 0xBF, two)
	case afterE0:
		return between(0xA0, 0xBF, one1)
	case afterED:
		return between(0x80, 0x9F, one1)
	case afterF0:
		return between(0x90, 0xBF, two)
	case afterF4:
		return between(0x80, 0x8F, two)
	case backslash:
		if b == 'u' {
			return codePoint, true
		}
		return boundary, slices.Contains([]byte(`"\bfnrt`), b)
	case codePoint:
		return codePoint0, b == '0'
	case codePoint0:
		return codePoint00, b == '0'
	case codePoint00:
		if b == '7' {
			return codePoint007, true
		}
		return codePoint000, b == '0' || b == '1'
	case codePoint000:
		return boundary, hex()
	case codePoint007:
		return boundary, b == 'f' || b == 'F'
	}
	return 0, false
}
