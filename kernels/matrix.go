package kernels

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// ErrMatrix is wrapped by every error of [Matrix.Validate].
var ErrMatrix = errors.New("kernels: malformed matrix")

// Matrix is a weight matrix W of Rows × Cols, row-major; operations compute
// W·x for x of Cols elements.
type Matrix struct {
	Rows, Cols int
	Format     Format
	Data       View // the rows, each RowBytes long, without padding

	// Affine formats only. Scales and Biases are Rows × Cols/Group values of
	// ScaleFormat (F32, F16 or BF16); Group is 32, 64 or 128.
	Group          int
	ScaleFormat    Format
	Scales, Biases View
}

// RowBytes is the size of one row of Data.
func (m *Matrix) RowBytes() int {
	return m.Cols / m.Format.BlockCols() * m.Format.BlockBytes()
}

// scaleRowBytes is the size of one row of Scales and of Biases.
func (m *Matrix) scaleRowBytes() int {
	if !m.Format.Affine() {
		return 0
	}
	return m.Cols / m.Group * m.ScaleFormat.BlockBytes()
}

// Bytes is the number of bytes that an operation reads to see every weight once.
func (m *Matrix) Bytes() int { return m.Data.Len + m.Scales.Len + m.Biases.Len }

// Validate tells whether m is complete and consistent: sizes, alignment and,
// for affine formats, scales and biases. Errors wrap [ErrMatrix].
func (m *Matrix) Validate() error {
	if !m.Format.Valid() {
		return fmt.Errorf("%w: unknown format %d", ErrMatrix, uint8(m.Format))
	}
	if m.Rows < 1 || m.Cols < 1 {
		return fmt.Errorf("%w: %d × %d", ErrMatrix, m.Rows, m.Cols)
	}
	if bc := m.Format.BlockCols(); m.Cols%bc != 0 {
		return fmt.Errorf("%w: %s has blocks of %d columns, which do not divide %d columns", ErrMatrix, m.Format, bc, m.Cols)
	}
	if err := checkView("data", m.Data, m.Rows, m.RowBytes(), m.Format.Align()); err != nil {
		return err
	}
	if !m.Format.Affine() {
		return nil
	}
	if m.Group != 32 && m.Group != 64 && m.Group != 128 {
		return fmt.Errorf("%w: group size %d is not 32, 64 or 128", ErrMatrix, m.Group)
	}
	if m.Cols%m.Group != 0 {
		return fmt.Errorf("%w: groups of %d do not divide %d columns", ErrMatrix, m.Group, m.Cols)
	}
	if !m.ScaleFormat.Float() {
		return fmt.Errorf("%w: scales of format %s", ErrMatrix, m.ScaleFormat)
	}
	if err := checkView("scales", m.Scales, m.Rows, m.scaleRowBytes(), m.ScaleFormat.Align()); err != nil {
		return err
	}
	return checkView("biases", m.Biases, m.Rows, m.scaleRowBytes(), m.ScaleFormat.Align())
}

func checkView(what string, v View, rows, rowBytes, align int) error {
	if rowBytes > math.MaxInt/rows {
		return fmt.Errorf("%w: %s: %d rows of %d bytes overflow", ErrMatrix, what, rows, rowBytes)
	}
	if v.Len != rows*rowBytes {
		return fmt.Errorf("%w: %s: %d bytes, want %d rows of %d", ErrMatrix, what, v.Len, rows, rowBytes)
	}
	if p := uintptr(unsafe.Pointer(unsafe.SliceData(v.Bytes()))); p%uintptr(align) != 0 {
		return fmt.Errorf("%w: %s: not aligned to %d bytes", ErrMatrix, what, align)
	}
	return nil
}

// SliceRows is the matrix of n rows of m from first, sharing m's memory.
func (m *Matrix) SliceRows(first, n int) Matrix {
	s := *m
	s.Rows = n
	s.Data = m.Data.Slice(first*m.RowBytes(), n*m.RowBytes())
	if m.Format.Affine() {
		sb := m.scaleRowBytes()
		s.Scales = m.Scales.Slice(first*sb, n*sb)
		s.Biases = m.Biases.Slice(first*sb, n*sb)
	}
	return s
}
