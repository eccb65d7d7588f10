// Package metal is the compute part of Apple's Metal for Go: devices, libraries, pipelines, buffers, command queues and
// compute encoders, without cgo.
//
//	device, err := metal.SystemDefaultDevice()
//	library, err := device.NewLibrary(source, nil)         // compile MSL; errors carry line and column
//	function, err := library.NewFunction("add")            // with function constants
//	pipeline, err := device.NewComputePipeline(function, nil)
//	buffer, err := device.NewBuffer(4096, metal.StorageModeShared)
//	queue, err := device.NewCommandQueue()
//
//	commands, err := queue.NewCommandBuffer()
//	encoder, err := commands.ComputeEncoder(metal.Concurrent)
//	encoder.SetPipeline(pipeline)
//	encoder.SetBuffer(buffer, 0, 0)
//	encoder.DispatchThreads(metal.Size{1024, 1, 1}, metal.Size{256, 1, 1})
//	err = encoder.End()
//	err = commands.Commit()
//	err = commands.WaitUntilCompleted()
//
// # Platforms
//
// On macOS (arm64, amd64) the package speaks to Metal.framework through github.com/ebitengine/purego, so that
// CGO_ENABLED=0 GOOS=darwin go build works from any machine. On iOS the same code is used, but Go's linker needs cgo and
// Xcode there; purego then goes through cgo. iOS has no MTLCopyAllDevices before 18, so Devices returns the default one,
// and an app in the background may not use the GPU: command buffers fail with ErrNotPermitted.
//
// On Linux (amd64, arm64) Metal is simulated: the environment variable METALSIM names the library of the simulator
// (internal/metalsim), which this package loads in place of Apple's frameworks. Without it every entry returns an error
// matching ErrNoDevice. Everywhere else the error is ErrUnsupported.
//
// The oldest supported systems are macOS 13 and iOS 16, the first with Metal 3 and version 3.0 of its language. What only
// later ones have says so: those methods ask first (respondsToSelector:) and return an *UnavailableError on a system that
// lacks them. A driver may lack properties of a device, as those of virtual machines do and iOS does (IsLowPower): they are
// asked for, too, and zero then.
//
// # Ownership
//
// Every object made by a function or method here is owned by the caller, who calls Release once; Release may be called
// again, and on nil. There are no finalizers: memory of the GPU is freed when the program says so. Objects keep what they
// need: a pipeline may outlive its library, a buffer its device. An object released while a command buffer uses it is
// freed when that has finished. A command buffer frees itself when it finishes after Commit; Release is for one that is
// not committed.
//
// The slice of Buffer.Bytes, and memory given to NewBufferNoCopy, are ordinary memory that the compiler cannot watch: the
// former must not be used after Release, the latter must stay mapped until the buffer is released and no command buffer
// uses it. CPU and GPU must not touch the same bytes at the same time: the CPU waits for the command buffer.
//
// # Goroutines
//
// Devices, libraries, functions, pipelines, buffers, residency sets and queues may be used by many goroutines at once.
// Recording a command buffer, that is its encoders, SetLabel, Commit and Release, is for one goroutine at a time, which
// need not be the same throughout: nothing depends on the OS thread. Wait, Done, Err, Status and times may be called by any.
// Waiting parks the goroutine; Metal's completion handler wakes it, no OS thread is held.
//
// # Mistakes
//
// Wrong use is an error, not a crash: nil and released objects (ErrReleased), objects of another device
// (ErrForeignDevice), bad sizes, offsets and indices (ErrInvalidArgument), calls in the wrong order (ErrState). An encoder
// remembers its first error and ignores what follows; End returns it, and Commit refuses the command buffer. What kernels
// do to memory is beyond the package: see the simulator.
//
// What raises an exception in Objective-C ends the process, since exceptions cannot pass through Go: a message to an object
// without such a method, what Metal's validation layers object to (MTL_DEBUG_LAYER), a failed assertion in a driver. The
// checks above come before the message, so that only memory that kernels or the caller destroyed, or a fault in a driver,
// should lead there.
//
// When the GPU fails, the error of Wait is a *CommandBufferError: errors.Is(err, metal.ErrOutOfMemory) and so on.
// IsGPUError tells failures of GPU, driver and compiler from wrong calls.
//
// # How messages are sent
//
// An Objective-C message is a call of the C function objc_msgSend. A call into C from Go costs some 50 to 100 ns, and
// purego.SyscallN allocates its argument slice, purego.RegisterFunc reflects. Here messages are written into arrays of
// 64-byte records, and one call into C sends a whole array: a few instructions of assembly in internal/objc, reached
// through purego's public SyscallN with a preallocated argument, which allocates nothing. Encoding a token of a language
// model, some 750 messages, is three such calls. Each runs on one OS thread in an autorelease pool of its own, so
// that goroutines need not be locked to threads. A method that takes MTLSize by value finds it where the platform's calling
// convention wants it: on the stack (amd64) or behind pointers (arm64).
//
// Everything of Apple's interface in use is declared in table.go and enums.go, and compared by tests with the selectors,
// types and values of Apple's own headers.
package metal
