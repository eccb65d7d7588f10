// metal_stdlib.h: all of the Metal standard library that compute kernels use.
#pragma once
#pragma clang diagnostic ignored "-Wunknown-pragmas"
#include "macros.h"
#include "uniform.h"
#include "compare.h"
#include "entry.h"
#include "internal_names.h"
