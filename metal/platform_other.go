//go:build !((darwin || linux) && (amd64 || arm64))

package metal

import "github.com/go-openelm/go-openelm/internal/objc"

func openLibraries() (objc.Libraries, error) { return nil, ErrUnsupported }
