package metal

import "fmt"

// Family is a set of features a GPU has (MTLGPUFamily). Apple7 is the M1 and A14, Apple8 the M2, Apple9 the M3 and M4,
// Apple10 the M5.
type Family int

// GPU families, and the generation-independent Metal3 and Metal4 (macOS 26). A system does not know newer ones than itself.
const (
	FamilyApple1  Family = 1001
	FamilyApple2  Family = 1002
	FamilyApple3  Family = 1003
	FamilyApple4  Family = 1004
	FamilyApple5  Family = 1005
	FamilyApple6  Family = 1006
	FamilyApple7  Family = 1007
	FamilyApple8  Family = 1008
	FamilyApple9  Family = 1009
	FamilyApple10 Family = 1010
	FamilyMac2    Family = 2002
	FamilyCommon3 Family = 3003
	FamilyMetal3  Family = 5001
	FamilyMetal4  Family = 5002
)

// LanguageVersion is a version of the Metal Shading Language (MTLLanguageVersion). The zero value is the newest one the
// OS compiles.
type LanguageVersion uint

// Language versions. 2.4 needs macOS 12, 3.0 macOS 13, 3.1 (bfloat) macOS 14, 3.2 macOS 15.
const (
	Language2_3 LanguageVersion = 2<<16 | 3
	Language2_4 LanguageVersion = 2<<16 | 4
	Language3_0 LanguageVersion = 3 << 16
	Language3_1 LanguageVersion = 3<<16 | 1
	Language3_2 LanguageVersion = 3<<16 | 2
)

// String is the version as the language's specification writes it, such as "3.1".
func (v LanguageVersion) String() string { return fmt.Sprintf("%d.%d", v>>16, v&0xffff) }

// MathMode is how far the compiler may depart from IEEE 754 (MTLMathMode, macOS 15). On older systems MathSafe and
// MathFast use the fastMathEnabled switch and MathRelaxed is an UnavailableError.
type MathMode int

// Math modes. Metal's own default is MathFast.
const (
	MathDefault MathMode = iota
	MathSafe
	MathRelaxed
	MathFast
)

// Values of MTLMathMode.
const (
	mtlMathModeSafe    = 0
	mtlMathModeRelaxed = 1
	mtlMathModeFast    = 2
)

// ResourceOptions choose where a buffer lives and how it is tracked (MTLResourceOptions). The zero value is memory
// shared by CPU and GPU, with hazard tracking.
type ResourceOptions uint

// Resource options, to be combined with |.
const (
	StorageModeShared       ResourceOptions = 0
	StorageModePrivate      ResourceOptions = 32
	CPUCacheWriteCombined   ResourceOptions = 1
	HazardTrackingUntracked ResourceOptions = 256
)

// DispatchType tells whether the dispatches of an encoder may overlap (MTLDispatchType).
type DispatchType uint

// Dispatch types. In a Concurrent encoder only memory barriers order dispatches.
const (
	Serial     DispatchType = 0
	Concurrent DispatchType = 1
)

// CommandBufferStatus is a stage in the life of a command buffer (MTLCommandBufferStatus).
type CommandBufferStatus uint

// Stages of a command buffer.
const (
	StatusNotEnqueued CommandBufferStatus = 0
	StatusEnqueued    CommandBufferStatus = 1
	StatusCommitted   CommandBufferStatus = 2
	StatusScheduled   CommandBufferStatus = 3
	StatusCompleted   CommandBufferStatus = 4
	StatusError       CommandBufferStatus = 5
)

// String is the status in words.
func (s CommandBufferStatus) String() string {
	names := [...]string{"not enqueued", "enqueued", "committed", "scheduled", "completed", "error"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("CommandBufferStatus(%d)", uint(s))
}

// barrierScopeBuffers is MTLBarrierScopeBuffers.
const barrierScopeBuffers = 1

// captureToDocument is MTLCaptureDestinationGPUTraceDocument.
const captureToDocument = 2

// dataType is MTLDataType, for function constants.
type dataType uint

const (
	dataTypeFloat  dataType = 3
	dataTypeInt    dataType = 29
	dataTypeUInt   dataType = 33
	dataTypeShort  dataType = 37
	dataTypeUShort dataType = 41
	dataTypeChar   dataType = 45
	dataTypeUChar  dataType = 49
	dataTypeBool   dataType = 53
	dataTypeLong   dataType = 81
	dataTypeULong  dataType = 85
)

// CommandBufferErrorCode says why the GPU did not finish a command buffer (MTLCommandBufferError). The codes are errors
// themselves: errors.Is(err, metal.ErrOutOfMemory).
type CommandBufferErrorCode int

// Reasons a command buffer fails.
const (
	ErrInternal        CommandBufferErrorCode = 1  // the driver failed
	ErrTimeout         CommandBufferErrorCode = 2  // ran longer than the system allows
	ErrPageFault       CommandBufferErrorCode = 3  // touched memory that is not there
	ErrAccessRevoked   CommandBufferErrorCode = 4  // the system took the GPU away after too many faults or hangs
	ErrNotPermitted    CommandBufferErrorCode = 7  // no permission, as for an app in the background on iOS
	ErrOutOfMemory     CommandBufferErrorCode = 8  // not enough memory
	ErrInvalidResource CommandBufferErrorCode = 9  // a resource used was already deleted
	ErrMemoryless      CommandBufferErrorCode = 10 // memoryless storage exhausted
	ErrDeviceRemoved   CommandBufferErrorCode = 11 // the device was removed
	ErrStackOverflow   CommandBufferErrorCode = 12 // a kernel's stack overflowed
)

// Error is the reason in words.
func (c CommandBufferErrorCode) Error() string {
	switch c {
	case ErrInternal:
		return "metal: internal error of the GPU driver"
	case ErrTimeout:
		return "metal: the GPU took too long"
	case ErrPageFault:
		return "metal: GPU page fault"
	case ErrAccessRevoked:
		return "metal: access to the GPU was revoked"
	case ErrNotPermitted:
		return "metal: not permitted to use the GPU"
	case ErrOutOfMemory:
		return "metal: out of memory"
	case ErrInvalidResource:
		return "metal: a resource in use was deleted"
	case ErrMemoryless:
		return "metal: memoryless storage exhausted"
	case ErrDeviceRemoved:
		return "metal: the GPU was removed"
	case ErrStackOverflow:
		return "metal: GPU stack overflow"
	}
	return fmt.Sprintf("metal: command buffer error %d", int(c))
}

// libraryErrorCompileFailure and its neighbours are values of MTLLibraryError.
const (
	libraryErrorCompileFailure   = 3
	libraryErrorFunctionNotFound = 5
)
