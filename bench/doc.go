// Package bench measures models, and the machine they run on, in one run.
//
// [Run] opens every model on every device with every number of threads, then
// takes turns: each is measured once, then all again ([Options.Repetitions]).
// So whatever else the machine does slows all of them alike, and the ratios of
// samples of the same turn hold where absolute figures would not. Samples are
// described by their median and quartiles, which a few disturbed ones hardly
// move.
//
// # The roofline
//
// Right before each model's turn, the same number of threads reads the same
// bytes, the model's weights, without computing anything, and multiplies and
// adds float32 registers without reading anything. A token must read every
// weight and the live KV cache ([Cost]): its shortest time on this machine is
// the larger of both quotients, and [Result.Roofline] is the fraction of that
// speed that was reached. A prompt is held to reading the weights once for all
// of its tokens. Integer and matrix units (VNNI, AMX) can exceed the float32
// rate.
//
// # The state of the machine
//
// A core of which another thread, perhaps another virtual machine's, uses half looks no
// slower to a loop that multiplies and adds registers. So beside that rate each sample
// has a [State]: the rate with loads, and how many instructions a core starts.
//
// # Reports
//
// A [Report] is written as a table, as JSON, as CSV, and
// in the format of Go's benchmarks, which benchstat reads. The command in
// bench/plot, a module of its own, draws it.
package bench
