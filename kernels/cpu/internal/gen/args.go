package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"log"
	"slices"
	"strings"
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

// offset is that of a field of an operand struct, or of a field of a field.
func offset(structure, path string) int {
	object := operands.Lookup(structure)
	if object == nil {
		log.Fatalf("%s: no type %s", argsFile, structure)
	}
	sum, t := 0, object.Type()
	for field := range strings.SplitSeq(path, ".") {
		at, of := fieldOf(t, field)
		if of == nil {
			log.Fatalf("%s: %s has no field %s", argsFile, structure, path)
		}
		sum, t = sum+at, of
	}
	return sum
}

// fieldOf is the offset and the type of a field of a struct, nil if it has none of the name.
func fieldOf(t types.Type, name string) (int, types.Type) {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return 0, nil
	}
	fields := slices.Collect(s.Fields())
	for i, f := range fields {
		if f.Name() == name {
			return int(sizes.Offsetsof(fields)[i]), f.Type()
		}
	}
	return 0, nil
}

var (
	matvecY0      = offset("matvecArgs", "y0")
	matvecY1      = offset("matvecArgs", "y1")
	matvecW0      = offset("matvecArgs", "w0")
	matvecW1      = offset("matvecArgs", "w1")
	matvecX       = offset("matvecArgs", "x")
	matvecSums    = offset("matvecArgs", "sums")
	matvecSteps   = offset("matvecArgs", "steps")
	matvecSkip    = offset("matvecArgs", "skip")
	matvecCount   = offset("matvecArgs", "count")
	matvecXStride = offset("matvecArgs", "xStride")
	matvecYStride = offset("matvecArgs", "yStride")
	matvecPair    = offset("matvecArgs", "pair")
	matvecYPair   = offset("matvecArgs", "yPair")
	matvecAhead   = offset("matvecArgs", "ahead")
	matvecDone    = offset("matvecArgs", "done")

	affineScale0 = offset("matvecArgs", "affine.scale0")
	affineScale1 = offset("matvecArgs", "affine.scale1")
	affineBias0  = offset("matvecArgs", "affine.bias0")
	affineBias1  = offset("matvecArgs", "affine.bias1")
	affineBlocks = offset("matvecArgs", "affine.blocks")

	int8x3Shift = offset("matvecArgs", "int8x3.shift")
	int8x3Bias  = offset("matvecArgs", "int8x3.bias")
	int8x3Pair  = offset("matvecArgs", "int8x3.pair")
	int8x3Step  = offset("matvecArgs", "int8x3.step")
	int8x3Rest  = offset("matvecArgs", "int8x3.rest")
	int8x3Skip  = offset("matvecArgs", "int8x3.skip")

	widenDst    = offset("widenArgs", "dst")
	widenSrc    = offset("widenArgs", "src")
	widenScale  = offset("widenArgs", "scale")
	widenBias   = offset("widenArgs", "bias")
	widenSteps  = offset("widenArgs", "steps")
	widenBlocks = offset("widenArgs", "blocks")

	gemmC    = offset("gemmArgs", "c")
	gemmA    = offset("gemmArgs", "a")
	gemmB    = offset("gemmArgs", "b")
	gemmLDC  = offset("gemmArgs", "ldc")
	gemmLDA  = offset("gemmArgs", "lda")
	gemmLDB  = offset("gemmArgs", "ldb")
	gemmK    = offset("gemmArgs", "k")
	gemmAdd  = offset("gemmArgs", "add")
	gemmHalf = offset("gemmArgs", "half")

	scaledC      = offset("scaledArgs", "c")
	scaledA      = offset("scaledArgs", "a")
	scaledB      = offset("scaledArgs", "b")
	scaledLDC    = offset("scaledArgs", "ldc")
	scaledLDA    = offset("scaledArgs", "lda")
	scaledHalf   = offset("scaledArgs", "half")
	scaledBlocks = offset("scaledArgs", "blocks")
	scaledAdd    = offset("scaledArgs", "add")
	scaledScale  = offset("scaledArgs", "scale")
	scaledBias   = offset("scaledArgs", "bias")
	scaledSums   = offset("scaledArgs", "sums")

	packDst    = offset("packArgs", "dst")
	packSrc    = offset("packArgs", "src")
	packStride = offset("packArgs", "stride")
	packN      = offset("packArgs", "n")

	permuteDst    = offset("permuteArgs", "dst")
	permuteX      = offset("permuteArgs", "x")
	permuteSums   = offset("permuteArgs", "sums")
	permuteIndex  = offset("permuteArgs", "index")
	permuteScale  = offset("permuteArgs", "scale")
	permuteN      = offset("permuteArgs", "n")
	permuteFactor = offset("permuteArgs", "factor")

	tileC        = offset("tileArgs", "c")
	tileX        = offset("tileArgs", "x")
	tileXNext    = offset("tileArgs", "xNext")
	tileTiles    = offset("tileArgs", "tiles")
	tileW        = offset("tileArgs", "w")
	tileWRow     = offset("tileArgs", "wRow")
	tileWTile    = offset("tileArgs", "wTile")
	tileWStep    = offset("tileArgs", "wStep")
	tileWGroup   = offset("tileArgs", "wGroup")
	tileGroups   = offset("tileArgs", "groups")
	tileSteps    = offset("tileArgs", "steps")
	tileAdd      = offset("tileArgs", "add")
	tileScale    = offset("tileArgs", "scale")
	tileBias     = offset("tileArgs", "bias")
	tileSums     = offset("tileArgs", "sums")
	tileSumsNext = offset("tileArgs", "sumsNext")
	tileBlock    = offset("tileArgs", "block")
	tileZeros    = offset("tileArgs", "zeros")

	splitDst   = offset("splitArgs", "dst")
	splitX     = offset("splitArgs", "x")
	splitSteps = offset("splitArgs", "steps")
	splitPart  = offset("splitArgs", "part")
	splitStep  = offset("splitArgs", "step")

	unpackDst    = offset("unpackArgs", "dst")
	unpackSrc    = offset("unpackArgs", "src")
	unpackStride = offset("unpackArgs", "stride")
	unpackRows   = offset("unpackArgs", "rows")
	unpackScale  = offset("unpackArgs", "scale")
	unpackBias   = offset("unpackArgs", "bias")

	sumDst   = offset("sumArgs", "dst")
	sumX     = offset("sumArgs", "x")
	sumSteps = offset("sumArgs", "steps")

	transposeDst     = offset("transposeArgs", "dst")
	transposeSrc     = offset("transposeArgs", "src")
	transposeDstRow  = offset("transposeArgs", "dstRow")
	transposeDstNext = offset("transposeArgs", "dstNext")
	transposeSrcRow  = offset("transposeArgs", "srcRow")
	transposeSrcNext = offset("transposeArgs", "srcNext")
	transposeRows    = offset("transposeArgs", "rows")
	transposeCols    = offset("transposeArgs", "cols")
	transposeAdd     = offset("transposeArgs", "add")

	int8x3Dst    = offset("int8x3Args", "dst")
	int8x3X      = offset("int8x3Args", "x")
	int8x3Index  = offset("int8x3Args", "index")
	int8x3Blocks = offset("int8x3Args", "blocks")
	int8x3Factor = offset("int8x3Args", "factor")
	int8x3Flat   = offset("int8x3Args", "flat")

	vecDst    = offset("vectorArgs", "dst")
	vecX      = offset("vectorArgs", "x")
	vecW      = offset("vectorArgs", "w")
	vecN      = offset("vectorArgs", "n")
	vecScalar = offset("vectorArgs", "scalar")
	vecSum    = offset("vectorArgs", "sum")

	rotateDst    = offset("rotateArgs", "dst")
	rotateX      = offset("rotateArgs", "x")
	rotateW      = offset("rotateArgs", "w")
	rotateAngle  = offset("rotateArgs", "angle")
	rotateHeads  = offset("rotateArgs", "heads")
	rotateN      = offset("rotateArgs", "n")
	rotateNorm   = offset("rotateArgs", "norm")
	rotateFactor = offset("rotateArgs", "factor")
	rotateEps    = offset("rotateArgs", "eps")

	recordSums = offset("record", "sums")
	recordUnit = offset("record", "unit")
)

// recordBytes is the size of a record.
var recordBytes = int(sizes.Sizeof(operands.Lookup("record").Type()))
