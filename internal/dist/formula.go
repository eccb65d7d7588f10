package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What a release writes in Formula/openelm.rb.
var (
	formulaVersion  = regexp.MustCompile(`(?m)^(  version ".*"\n)?(  license )`)
	formulaArchives = regexp.MustCompile(`(?ms)^(  # The archives of a release, which make dist writes:\n).*?^(  # End of the archives\.\n)`)
)

// formula is Formula/openelm.rb with this release's archives, whose checksums are
// sums.
func (r release) formula(text string, sums map[string]string) (string, error) {
	if !formulaVersion.MatchString(text) || !formulaArchives.MatchString(text) {
		return "", errors.New("no place for a release in Formula/openelm.rb")
	}
	var b strings.Builder
	for _, system := range []struct{ name, os string }{{"macos", "darwin"}, {"linux", "linux"}} {
		fmt.Fprintf(&b, "  on_%s do\n", system.name)
		for _, processor := range []struct{ name, arch string }{{"arm", "arm64"}, {"intel", "amd64"}} {
			archive := r.archiveName(platform{system.os, processor.arch})
			sum, ok := sums[archive]
			if !ok {
				return "", fmt.Errorf("the formula needs %s", archive)
			}
			fmt.Fprintf(&b, "    on_%s do\n", processor.name)
			fmt.Fprintf(&b, "      url \"https://github.com/go-openelm/go-openelm/releases/download/%s/%s\"\n", r.version, archive)
			fmt.Fprintf(&b, "      sha256 %q\n", sum)
			fmt.Fprintf(&b, "    end\n")
		}
		fmt.Fprintf(&b, "  end\n")
	}
	text = formulaVersion.ReplaceAllString(text, fmt.Sprintf("  version %q\n${2}", r.number()))
	return formulaArchives.ReplaceAllString(text, "${1}"+b.String()+"${2}"), nil
}
