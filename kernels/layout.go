package kernels

import "fmt"

// Layout is how the weights of a matrix are stored. Layouts are compared with ==.
type Layout struct {
	Format Format

	// Affine formats only, as in [Matrix].
	Group       int
	ScaleFormat Format
}

// Layout is how m's weights are stored.
func (m *Matrix) Layout() Layout {
	if !m.Format.Affine() {
		return Layout{Format: m.Format}
	}
	return Layout{m.Format, m.Group, m.ScaleFormat}
}

// Matrix is a matrix whose views have their lengths, and no memory yet.
func (l Layout) Matrix(rows, cols int) Matrix {
	m := Matrix{Rows: rows, Cols: cols, Format: l.Format, Group: l.Group, ScaleFormat: l.ScaleFormat}
	m.Data.Len = rows * m.RowBytes()
	m.Scales.Len = rows * m.scaleRowBytes()
	m.Biases.Len = m.Scales.Len
	return m
}

// UnitCols is what the number of columns must be a multiple of.
func (l Layout) UnitCols() int { return max(l.Format.BlockCols(), l.Group) }

// String is the format, with the group and the format of scales where there are some:
// "Affine4/064/F16".
func (l Layout) String() string {
	if !l.Format.Affine() {
		return l.Format.String()
	}
	return fmt.Sprintf("%s/%03d/%s", l.Format, l.Group, l.ScaleFormat)
}
