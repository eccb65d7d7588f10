package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"log"
)

// argsFile declares the operands of the kernels; the generator runs in its own folder.
const argsFile = "../../args.go"

// operands are the types of argsFile. Their layout is the same on all 64-bit
// processors.
var (
	operands = parseOperands()
	sizes    = types.SizesFor("gc", "amd64")
)

func parseOperands() *types.Scope {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, argsFile, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	pkg, err := (&types.Config{Importer: importer.Default()}).Check("cpu", set, []*ast.File{file}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return pkg.Scope()
}

// offset is that of a field of an operand struct.
func offset(structure, field string) int {
	object := operands.Lookup(structure)
	if object == nil {
		log.Fatalf("%s: no type %s", argsFile, structure)
	}
	s := object.Type().Underlying().(*types.Struct)
	var fields []*types.Var
	for i := range s.NumFields() {
		fields = append(fields, s.Field(i))
		if s.Field(i).Name() == field {
			return int(sizes.Offsetsof(fields)[i])
		}
	}
	log.Fatalf("%s: %s has no field %s", argsFile, structure, field)
	return 0
}

var (
	mulY0        = offset("mulArgs", "y0")
	mulY1        = offset("mulArgs", "y1")
	mulW0        = offset("mulArgs", "w0")
	mulW1        = offset("mulArgs", "w1")
	mulX         = offset("mulArgs", "x")
	mulScale0    = offset("mulArgs", "scale0")
	mulScale1    = offset("mulArgs", "scale1")
	mulBias0     = offset("mulArgs", "bias0")
	mulBias1     = offset("mulArgs", "bias1")
	mulCols      = offset("mulArgs", "cols")
	mulSkip      = offset("mulArgs", "skip")
	mulCount     = offset("mulArgs", "count")
	mulXStride   = offset("mulArgs", "xStride")
	mulYStride   = offset("mulArgs", "yStride")
	mulGroup     = offset("mulArgs", "group")
	mulAhead     = offset("mulArgs", "ahead")
	mulSums      = offset("mulArgs", "sums")
	mulPair      = offset("mulArgs", "pair")
	mulYPair     = offset("mulArgs", "yPair")
	mulScalePair = offset("mulArgs", "scalePair")
	mulBias      = offset("mulArgs", "bias")
	mulScaleStep = offset("mulArgs", "scaleStep")
	mulScaleRest = offset("mulArgs", "scaleRest")
	mulScaleSkip = offset("mulArgs", "scaleSkip")
	mulDone      = offset("mulArgs", "done")

	widenDst   = offset("widenArgs", "dst")
	widenSrc   = offset("widenArgs", "src")
	widenScale = offset("widenArgs", "scale")
	widenBias  = offset("widenArgs", "bias")
	widenCols  = offset("widenArgs", "cols")
	widenGroup = offset("widenArgs", "group")

	gemmC    = offset("gemmArgs", "c")
	gemmA    = offset("gemmArgs", "a")
	gemmB    = offset("gemmArgs", "b")
	gemmLDC  = offset("gemmArgs", "ldc")
	gemmLDA  = offset("gemmArgs", "lda")
	gemmLDB  = offset("gemmArgs", "ldb")
	gemmK    = offset("gemmArgs", "k")
	gemmAdd  = offset("gemmArgs", "add")
	gemmHalf = offset("gemmArgs", "half")

	packDst    = offset("packArgs", "dst")
	packSrc    = offset("packArgs", "src")
	packStride = offset("packArgs", "stride")
	packK      = offset("packArgs", "n")

	arrDst    = offset("permuteArgs", "dst")
	arrX      = offset("permuteArgs", "x")
	arrSums   = offset("permuteArgs", "sums")
	arrIndex  = offset("permuteArgs", "index")
	arrScale  = offset("permuteArgs", "scale")
	arrN      = offset("permuteArgs", "n")
	arrFactor = offset("permuteArgs", "factor")

	tileC      = offset("tileArgs", "c")
	tileLDC    = offset("tileArgs", "ldc")
	tileA      = offset("tileArgs", "a")
	tileANext  = offset("tileArgs", "aNext")
	tileB      = offset("tileArgs", "b")
	tileBNext  = offset("tileArgs", "bNext")
	tileSteps  = offset("tileArgs", "steps")
	tileAdd    = offset("tileArgs", "add")
	tileConfig = offset("tileArgs", "config")

	partDst   = offset("bf16x3Args", "dst")
	partX     = offset("bf16x3Args", "x")
	partSteps = offset("bf16x3Args", "steps")
	partNext  = offset("bf16x3Args", "next")

	digDst    = offset("int8x3Args", "dst")
	digX      = offset("int8x3Args", "x")
	digIndex  = offset("int8x3Args", "index")
	digBlocks = offset("int8x3Args", "blocks")
	digFactor = offset("int8x3Args", "factor")

	vecDst    = offset("vectorArgs", "dst")
	vecX      = offset("vectorArgs", "x")
	vecW      = offset("vectorArgs", "w")
	vecN      = offset("vectorArgs", "n")
	vecScalar = offset("vectorArgs", "scalar")

	recordSums = offset("record", "sums")
	recordUnit = offset("record", "unit")
)

// recordBytes is the size of a record.
var recordBytes = int(sizes.Sizeof(operands.Lookup("record").Type()))
