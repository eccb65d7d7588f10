module github.com/go-openelm/go-openelm/examples/menubar

go 1.26

require github.com/go-openelm/go-openelm v0.0.0

replace github.com/go-openelm/go-openelm => ../..
