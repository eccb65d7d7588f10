package kernels

import "fmt"

// What every backend refuses, in one place. All errors wrap [ErrShape].

// CheckRows refuses an operation on no rows.
func CheckRows(rows int) error {
	if rows < 1 {
		return fmt.Errorf("%w: %d rows", ErrShape, rows)
	}
	return nil
}

// CheckTokens holds the first rows of tokens to be rows of the table.
func CheckTokens(tokens View, rows int, table *Matrix) error {
	if tokens.Len < 4*rows {
		return fmt.Errorf("%w: %d bytes of tokens for %d rows", ErrShape, tokens.Len, rows)
	}
	for _, id := range tokens.Ints()[:rows] {
		if id < 0 || int(id) >= table.Rows {
			return fmt.Errorf("%w: token %d is outside the table of %d rows", ErrShape, id, table.Rows)
		}
	}
	return nil
}

// CheckGated holds the matrix of up, if it has one, to that of gate.
func CheckGated(gate, up Linear) error {
	if up.W != nil && (up.W.Rows != gate.W.Rows || up.W.Cols != gate.W.Cols) {
		return fmt.Errorf("%w: gate is %d × %d, up %d × %d", ErrShape, gate.W.Rows, gate.W.Cols, up.W.Rows, up.W.Cols)
	}
	return nil
}

// Validate holds the adapter of l, if it has one, to the matrix: formats, shapes and
// sizes.
func (l Linear) Validate() error {
	r := l.LoRA
	if r == nil || l.W == nil {
		return nil
	}
	a, b := &r.A, &r.B
	if a.Format != F32 || b.Format != F32 || a.Rows < 1 || a.Cols != l.W.Cols || b.Cols != a.Rows || b.Rows != l.W.Rows {
		return fmt.Errorf("%w: an adapter with A of %d × %d %v and B of %d × %d %v, for a matrix of %d × %d",
			ErrShape, a.Rows, a.Cols, a.Format, b.Rows, b.Cols, b.Format, l.W.Rows, l.W.Cols)
	}
	if err := checkFloats("A", a.Data, a.Rows*a.Cols); err != nil {
		return err
	}
	if err := checkFloats("B", b.Data, b.Rows*b.Cols); err != nil {
		return err
	}
	if r.RowScale.IsZero() {
		return nil
	}
	return checkFloats("scales of rows", r.RowScale, l.W.Rows)
}

// checkFloats holds a part of an adapter to have at least n float32.
func checkFloats(what string, v View, n int) error {
	if v.Buf == nil || v.Len < 4*n {
		return fmt.Errorf("%w: an adapter's %s: %d bytes, want %d float32", ErrShape, what, v.Len, n)
	}
	if v.Off%4 != 0 {
		return fmt.Errorf("%w: an adapter's %s: byte %d is not aligned", ErrShape, what, v.Off)
	}
	return nil
}
