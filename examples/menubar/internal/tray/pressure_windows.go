package tray

// watchPressure does nothing: Windows is not asked.
func watchPressure(func(critical bool)) (stop func(), err error) { return func() {}, nil }
