package tokenizer

import (
	"encoding/binary"
	"math"
)

// Wire types of the protobuf encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// message reads the fields of one protobuf message in order. It holds no more
// than positions, so a length that lies costs nothing.
type message struct {
	file string
	name string // path of this message, for errors
	data string
	base int64 // offset of data in the file
	pos  int
}

// field is one field of a message. The member that holds its value depends on wire.
type field struct {
	number int
	wire   int
	num    uint64 // wireVarint, wireFixed32, wireFixed64
	bytes  string // wireBytes
	offset int64  // of the value in the file
}

func (m *message) errorAt(pos int, format string, args ...any) error {
	e := fieldError(m.file, m.name, format, args...)
	e.Offset = m.base + int64(pos)
	return e
}

// next reads the next field; ok is false at the end of the message.
func (m *message) next() (f field, ok bool, err error) {
	if m.pos == len(m.data) {
		return field{}, false, nil
	}
	start := m.pos
	tag, err := m.varint()
	if err != nil {
		return field{}, false, err
	}
	if tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return field{}, false, m.errorAt(start, "field number %d is outside 1 to 2^29-1: this is not a SentencePiece model", tag>>3)
	}
	f = field{number: int(tag >> 3), wire: int(tag & 7), offset: m.base + int64(m.pos)}
	switch f.wire {
	case wireVarint:
		f.num, err = m.varint()
		return f, err == nil, err
	case wireFixed32, wireFixed64:
		size := 4
		if f.wire == wireFixed64 {
			size = 8
		}
		if len(m.data)-m.pos < size {
			return field{}, false, m.errorAt(m.pos, "field %d needs %d bytes, %d are left", f.number, size, len(m.data)-m.pos)
		}
		var b [8]byte
		copy(b[:], m.data[m.pos:m.pos+size])
		f.num = binary.LittleEndian.Uint64(b[:])
		m.pos += size
	case wireBytes:
		n, err := m.varint()
		if err != nil {
			return field{}, false, err
		}
		if n > uint64(len(m.data)-m.pos) {
			return field{}, false, m.errorAt(m.pos, "field %d has a length of %d bytes, %d are left", f.number, n, len(m.data)-m.pos)
		}
		f.offset = m.base + int64(m.pos)
		f.bytes = m.data[m.pos : m.pos+int(n)]
		m.pos += int(n)
	default:
		return field{}, false, m.errorAt(start, "field %d has wire type %d, which SentencePiece models do not use", f.number, f.wire)
	}
	return f, true, nil
}

func (m *message) varint() (uint64, error) {
	var v uint64
	for i := 0; ; i++ {
		if m.pos+i == len(m.data) {
			return 0, m.errorAt(m.pos, "a number is cut off")
		}
		b := m.data[m.pos+i]
		if i == 9 && b > 1 {
			return 0, m.errorAt(m.pos, "a number is longer than 64 bits")
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			m.pos += i + 1
			return v, nil
		}
	}
}

// each calls read for every field of the message.
func (m *message) each(read func(field) error) error {
	for {
		f, ok, err := m.next()
		if err != nil || !ok {
			return err
		}
		if err := read(f); err != nil {
			return err
		}
	}
}

// sub returns the message held by a field.
func (m *message) sub(f field, name string) (message, error) {
	if err := m.want(f, name, wireBytes); err != nil {
		return message{}, err
	}
	return message{file: m.file, name: m.path(name), data: f.bytes, base: f.offset}, nil
}

// The methods below store the value of a field after checking its wire type.

func (m *message) string(f field, name string, v *string) error {
	*v = f.bytes
	return m.want(f, name, wireBytes)
}

func (m *message) float(f field, name string, v *float32) error {
	*v = math.Float32frombits(uint32(f.num))
	return m.want(f, name, wireFixed32)
}

func (m *message) bool(f field, name string, v *bool) error {
	*v = f.num != 0
	return m.want(f, name, wireVarint)
}

func (m *message) int32(f field, name string, v *int32) error {
	*v = int32(f.num)
	return m.want(f, name, wireVarint)
}

func (m *message) want(f field, name string, wire int) error {
	if f.wire == wire {
		return nil
	}
	e := fieldError(m.file, m.path(name), "has protobuf wire type %d, expected %d", f.wire, wire)
	e.Offset = f.offset
	return e
}

func (m *message) path(name string) string {
	if m.name == "" {
		return name
	}
	return m.name + "." + name
}
