package metal

import (
	"fmt"
	"strconv"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// Device is a GPU (MTLDevice). Its methods may be called by many goroutines at once.
type Device struct {
	object
	name             string
	threadgroupBytes int
	maxBuffer        int
}

// SystemDefaultDevice returns the preferred GPU. It returns ErrUnsupported where Metal does not exist and ErrNoDevice
// where it has no device.
func SystemDefaultDevice() (*Device, error) {
	if err := load(); err != nil {
		return nil, err
	}
	s := openScope()
	defer s.Close()
	id := objc.Call(api.createDevice)
	if id == 0 {
		return nil, ErrNoDevice
	}
	return newDevice(s, id), nil
}

// Devices returns every GPU; the caller releases each. A system that cannot list them (iOS) has its default one.
func Devices() ([]*Device, error) {
	if err := load(); err != nil {
		return nil, err
	}
	if api.copyDevices == 0 {
		d, err := SystemDefaultDevice()
		if err != nil {
			return nil, err
		}
		return []*Device{d}, nil
	}
	s := openScope()
	defer s.Close()
	array := objc.Call(api.copyDevices)
	if array == 0 {
		return nil, ErrNoDevice
	}
	defer s.send(array, selRelease)
	var out []*Device
	for i := range s.send(array, selArrayCount) {
		id := s.send(array, selArrayObjectAtIndex, i)
		s.send(id, selRetain)
		out = append(out, newDevice(s, id))
	}
	if len(out) == 0 {
		return nil, ErrNoDevice
	}
	return out, nil
}

func newDevice(s scope, id uintptr) *Device {
	d := &Device{name: s.Text(s.send(id, selDeviceName))}
	d.adopt(id, id)
	d.threadgroupBytes, d.maxBuffer = int(d.number(selDeviceThreadgroupMemory)), int(d.number(selDeviceMaxBufferLength))
	return d
}

// Release gives the device up; objects made from it stay usable until released themselves. Idempotent, nil is fine.
func (d *Device) Release() {
	if d != nil {
		d.release()
	}
}

func (d *Device) ok() bool { return d != nil && d.alive() }

// Name is the GPU's name, such as "Apple M3 Pro".
func (d *Device) Name() string {
	if d == nil {
		return ""
	}
	return d.name
}

// String is the name, quoted, and the registry ID.
func (d *Device) String() string {
	return "metal.Device(" + strconv.Quote(d.Name()) + ", " + strconv.FormatUint(d.RegistryID(), 10) + ")"
}

// RegistryID identifies the GPU across processes; 0 after Release.
func (d *Device) RegistryID() uint64 { return d.number(selDeviceRegistryID) }

// SupportsFamily reports whether the GPU has all features of f.
func (d *Device) SupportsFamily(f Family) bool {
	return d.property(selDeviceSupportsFamily, uintptr(f))&0xff != 0
}

// HasUnifiedMemory reports whether CPU and GPU share one memory, as all Apple GPUs do.
func (d *Device) HasUnifiedMemory() bool { return d.is(selDeviceUnifiedMemory) }

// IsLowPower reports an integrated GPU beside a faster one.
func (d *Device) IsLowPower() bool { return d.is(selDeviceLowPower) }

// IsHeadless reports a GPU without a display.
func (d *Device) IsHeadless() bool { return d.is(selDeviceHeadless) }

// IsRemovable reports a GPU that can be unplugged.
func (d *Device) IsRemovable() bool { return d.is(selDeviceRemovable) }

// RecommendedMaxWorkingSetSize is how many bytes the GPU can use without slowing down.
func (d *Device) RecommendedMaxWorkingSetSize() uint64 { return d.number(selDeviceWorkingSet) }

// CurrentAllocatedSize is how many bytes of resources this process has on the GPU.
func (d *Device) CurrentAllocatedSize() uint64 { return d.number(selDeviceAllocatedSize) }

// MaxThreadgroupMemoryLength is how many bytes of threadgroup memory a threadgroup may use.
func (d *Device) MaxThreadgroupMemoryLength() int {
	if d == nil {
		return 0
	}
	return d.threadgroupBytes
}

// MaxBufferLength is the size in bytes of the largest buffer.
func (d *Device) MaxBufferLength() int {
	if d == nil {
		return 0
	}
	return d.maxBuffer
}

func (d *Device) number(s selector) uint64 { return uint64(d.property(s)) }

func (d *Device) is(s selector) bool { return d.property(s)&0xff != 0 }

// property is a property of the device, 0 where its driver lacks it: iOS has no
// isLowPower, drivers of virtual machines lack what their makers forgot, and an
// unrecognized selector ends the process.
func (d *Device) property(s selector, args ...uintptr) uintptr {
	if !d.ok() || available(d.id, s) != nil {
		return 0
	}
	return send(d.id, s, args...)
}

// check is the error for using a device, or an object of another device with it.
func (d *Device) check(op string, others ...*object) error {
	if !d.ok() {
		return fmt.Errorf("%s: device: %w", op, ErrReleased)
	}
	for _, o := range others {
		if !o.alive() {
			return fmt.Errorf("%s: %w", op, ErrReleased)
		}
		if o.dev != d.id {
			return fmt.Errorf("%s: %w", op, ErrForeignDevice)
		}
	}
	return nil
}
