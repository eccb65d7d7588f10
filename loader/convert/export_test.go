package convert

// FirstLayer is the importance of the columns of the first layer's queries, keys
// and values.
func (i *Importance) FirstLayer() []float32 { return i.columns[place{qkv, 0}] }
