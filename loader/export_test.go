package loader

// ParseAdapterConfig is for the fuzz target: it returns what would be done with
// the update of a matrix.
func ParseAdapterConfig(text []byte, path string) (rank int, scale float64, err error) {
	c, err := parseAdapterConfig(adapterConfigFile, text)
	if err != nil {
		return 0, 0, err
	}
	rank, scale = c.rankAndScale(path)
	return rank, scale, nil
}
