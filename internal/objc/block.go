package objc

// Block is the head of an Objective-C block, as the published block ABI lays it out. What embeds it as its first field
// has captured variables behind it.
type Block struct {
	isa        uintptr
	flags      int32
	_          int32
	invoke     uintptr
	descriptor *blockDescriptor
}

type blockDescriptor struct{ _, size uintptr }

// blockIsGlobal (BLOCK_IS_GLOBAL) says that copying the block is copying its address, and releasing it nothing.
const blockIsGlobal = 1 << 28

// NewBlock is the head of a global block of size bytes in all, whose code is the C function invoke. Who calls the block
// may look at it for as long as it likes: it must stay where it is, on the heap, and referred to.
func NewBlock(invoke uintptr, size uintptr) Block {
	return Block{isa: functions.globalBlock, flags: blockIsGlobal, invoke: invoke, descriptor: &blockDescriptor{size: size}}
}

// CallBlock calls a block that was passed to a method or a function.
func CallBlock(block uintptr, args ...uintptr) uintptr {
	return Call((*Block)(Pointer(block)).invoke, append([]uintptr{block}, args...)...)
}
