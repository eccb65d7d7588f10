package tray

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// triggers of the kernel's pressure stall information: microseconds of every two
// seconds, the one window that a program without privileges may ask for. The second
// one is critical.
var triggers = [2]string{
	"some 150000 2000000", // a program waited for memory
	"full 100000 2000000", // all programs did
}

// watchPressure calls pressure when memory is short, until stop is called. It costs
// nothing while it is not: a thread sleeps in the kernel.
func watchPressure(pressure func(critical bool)) (stop func(), err error) {
	var watched []*os.File
	for _, trigger := range triggers {
		// Not os.OpenFile: the runtime's poller would get the news, once for all.
		const name = "/proc/pressure/memory"
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			watched = append(watched, os.NewFile(uintptr(fd), name))
			_, err = unix.Write(fd, []byte(trigger+"\x00"))
		}
		if err != nil {
			closeAll(watched)
			return nil, fmt.Errorf("memory pressure is not watched: %s: %w", name, err)
		}
	}
	return pollPriority(watched, func(i int) { pressure(i == 1) })
}

// pollPriority calls event with the index of a file that has urgent news, until stop
// is called, which closes the files.
func pollPriority(files []*os.File, event func(i int)) (stop func(), err error) {
	wake, waker, err := os.Pipe()
	if err != nil {
		closeAll(files)
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		list := []unix.PollFd{{Fd: int32(wake.Fd()), Events: unix.POLLIN}}
		for _, f := range files {
			list = append(list, unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLPRI})
		}
		for {
			if _, err := unix.Poll(list, -1); err != nil && err != unix.EINTR {
				return
			}
			if list[0].Revents != 0 {
				return
			}
			for i := range files {
				switch p := &list[1+i]; {
				case p.Revents&(unix.POLLERR|unix.POLLNVAL) != 0:
					p.Fd = -1 // the kernel watches no more
				case p.Revents&unix.POLLPRI != 0:
					event(i)
				}
			}
		}
	}()
	return func() {
		waker.Close()
		<-done
		closeAll(append(files, wake))
	}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
