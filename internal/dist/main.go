// Dist writes a release: an archive of the programs for each platform, their
// checksums, and the Homebrew formula that installs them. One commit and one
// version of Go give the same bytes, wherever they are built.
//
//	make dist
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// platforms are those that archives are made for.
var platforms = []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}}

func main() {
	out := flag.String("out", "dist", "folder to write to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string) error {
	src, err := os.Getwd()
	if err != nil {
		return err
	}
	r, err := checkout(ctx, src)
	if err != nil {
		return err
	}
	return r.write(ctx, src, out)
}
