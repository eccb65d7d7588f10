package objc

// FlagSizes: on arm64 a struct above 16 bytes is passed as the address of a copy; the flag makes the assembly pass the
// addresses of the two MTLSize values inside the message.
const FlagSizes = flagSizes
