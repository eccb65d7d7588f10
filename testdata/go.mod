// Reference data for tests. A module of its own, so that it does not travel with
// the library; there are no packages in it.
module github.com/go-openelm/go-openelm/testdata

go 1.26.0
