// wrap.h: 32-bit index arithmetic that wraps.
#pragma once
#include <string>
#include <string_view>

namespace metalsim {

// Adds to a function's unoptimised IR what reports an access whose address came from an unsigned 32-bit product that did
// not fit. Wrapping is defined in MSL, and hashes want it: so only products are watched, only on their way to an address,
// and not past &, |, ^, >> and %. `multiplies` is set if it calls @llvm.umul.with.overflow.i32 and @llvm.smul.with.overflow.i32.
std::string watch_wrapping(std::string_view body, bool &multiplies);

}  // namespace metalsim
