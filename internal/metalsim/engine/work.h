// work.h: what a kernel's instructions would cost an Apple GPU, counted as they are executed.
#pragma once
#include <string>

namespace metalsim {

// Takes a kernel's optimised IR and adds counting to each basic block: msl_work[0] is issue slots, [1] the bytes that
// device loads read, [2] those bytes times the bytes of loads that are under way together with them. Sums over all lanes.
std::string count_work(const std::string &ir);

}  // namespace metalsim
