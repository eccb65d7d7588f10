module github.com/go-openelm/go-openelm

go 1.26

require github.com/ebitengine/purego v0.11.3 // indirect
