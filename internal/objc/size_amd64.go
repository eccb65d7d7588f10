package objc

// FlagSizes: on amd64 the System V ABI copies a struct above 16 bytes onto the stack. The assembly copies the six words
// of every message there, so a message carrying two MTLSize values needs no special treatment.
const FlagSizes = 0
