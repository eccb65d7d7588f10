package metalsim

import "embed"

// sources are the C++ of the simulator and the Metal standard library it compiles kernels against.
//
//go:embed engine/*.cpp engine/*.h engine/msl/*.h runtime/*.cpp runtime/*.h
var sources embed.FS

// Packages are the Debian packages that Build and the compilation of kernels need, one a line.
//
//go:embed packages.txt
var Packages string
