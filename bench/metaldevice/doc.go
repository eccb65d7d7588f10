// Package metaldevice makes Apple GPUs a device of package bench: with counts of
// dispatches, and with the GPU's own limits for the roofline. It is a package
// of its own because of what it imports.
package metaldevice
