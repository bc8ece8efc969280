package fleet

import "github.com/coveydb/covey/internal/tuple"

// Span is the span of all of the layer's keys. They are about this cluster,
// whatever data is in it.
func Span() (lo, hi []byte) { return tuple.Span([]byte{layerByte}) }
