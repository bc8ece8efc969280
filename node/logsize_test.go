package node

import (
	"slices"
	"testing"
)

func TestWhoIsShortOfRoomTriesAgainThoughNothingMoves(t *testing.T) {
	var l logSize
	if !l.moved(7) || l.moved(7) || !l.moved(8) {
		t.Error("it does not follow what is applied")
	}
	var asked []int
	for i := 1; i <= 90; i++ {
		if l.moved(8) {
			asked = append(asked, i)
		}
	}
	if want := []int{5, 10, 20, 40, 80}; !slices.Equal(asked, want) {
		t.Errorf("true at %v, want %v", asked, want)
	}
	if !l.moved(9) || l.moved(9) {
		t.Error("it does not go on when something moves again")
	}
}
