package errs

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestKindOfFindsTheFirstErrorInTheChain(t *testing.T) {
	err := fmt.Errorf("open: %w", E(NotFound, "bucket %s: %w", "b", io.EOF))
	if got := KindOf(err); got != NotFound {
		t.Errorf("KindOf = %v, want %v", got, NotFound)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if Is(nil, Internal) || KindOf(io.EOF) != Internal {
		t.Error("nil is no failure, and a foreign error is Internal")
	}
}

func TestErrorSurvivesTheWire(t *testing.T) {
	for k := Internal; k < kinds; k++ {
		got := Decode(Append(nil, E(k, "what %d", 7)))
		if got.Kind != k || got.Msg != "what 7" {
			t.Errorf("got %v %q, want %v", got.Kind, got.Msg, k)
		}
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
	if got := Decode([]byte{255, 'x'}); got.Kind != Internal || got.Msg != "x" {
		t.Errorf("a newer kind read as %v %q", got.Kind, got.Msg)
	}
	if got := Decode(nil); got.Kind != Internal || got.Msg == "" {
		t.Errorf("nothing read as %v %q", got.Kind, got.Msg)
	}
}
