// Package why explains a cluster to its operator: why there is no leader, why
// writes are slow, why a node does not vote, and what happens if a node stops.
//
// Explain is a pure function from facts to findings. The facts are what each node
// that could be asked says of itself and of the others, with its last events, and
// who could not be asked; so it works without a leader, and sees a cut network
// from both of its sides where both can be asked. Each finding says what is, since
// when if that is known, and what to do.
//
// It never asks anybody, never changes anything, and says nothing that the facts
// do not show: where they leave two causes open, it names both.
package why
