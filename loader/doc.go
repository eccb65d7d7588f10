// Package loader opens OpenELM checkpoints.
package loader
