// Command metalsim builds the simulated Metal and prints the path of its library, for the environment variable METALSIM:
//
//	METALSIM=$(go run ./internal/metalsim/cmd/metalsim) program
package main

import (
	"fmt"
	"os"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

func main() {
	path, err := metalsim.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
