package gpu

// WaitCompiled waits for all kernels that are being compiled.
func (b *Backend) WaitCompiled() { b.compiling.Wait() }
