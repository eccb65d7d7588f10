//go:build race

package metal_test

const raceDetector = true
