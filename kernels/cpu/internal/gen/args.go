package main

// Offsets of the fields of package cpu's argument structs.
const (
	mulY0, mulY1           = 0, 8
	mulW0, mulW1           = 16, 24
	mulX                   = 32
	mulScale0, mulScale1   = 40, 48
	mulBias0, mulBias1     = 56, 64
	mulCols                = 72
	mulSkip                = 80
	mulCount               = 88
	mulXStride, mulYStride = 96, 104
	mulGroup               = 112
	mulAhead               = 120
	mulSums                = 128
	mulPair, mulYPair      = 136, 144
	mulScalePair, mulBias  = 152, 160
	mulScaleStep           = 168
	mulScaleRest           = 176
	mulScaleSkip           = 184
	mulDone                = 192

	widenDst, widenSrc    = 0, 8
	widenScale, widenBias = 16, 24
	widenCols, widenGroup = 32, 40

	gemmC, gemmA, gemmB       = 0, 8, 16
	gemmLDC, gemmLDA, gemmLDB = 24, 32, 40
	gemmK, gemmAdd            = 48, 56
	gemmHalf                  = 64

	packDst, packSrc, packStride, packK = 0, 8, 16, 24

	arrDst, arrX, arrSums, arrIndex, arrScale, arrN, arrFactor = 0, 8, 16, 24, 32, 40, 48

	tileC, tileLDC, tileA, tileANext     = 0, 8, 16, 24
	tileB, tileBNext, tileSteps, tileAdd = 32, 40, 48, 56
	tileConfig                           = 64
	partDst, partX, partSteps, partNext  = 0, 8, 16, 24

	digDst, digX, digIndex, digBlocks, digFactor = 0, 8, 16, 24, 32

	vecDst, vecX, vecW, vecN, vecScalar = 0, 8, 16, 24, 32
)
