package evaluate

// Window is a window, for tests.
type Window struct {
	Tokens []int32
	First  int
}

// Cut makes windows of a text.
func Cut(tokens []int32, n int, bos int32) (list []Window) {
	for _, w := range cut(tokens, n, bos) {
		list = append(list, Window{w.tokens, w.first})
	}
	return list
}
