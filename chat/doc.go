// Package chat holds conversations with a model: it lays the turns out as the
// model was trained to see them, and keeps what was said in the session's KV
// cache, so that each turn costs only its own tokens.
package chat
