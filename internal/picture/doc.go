// Package picture reads what pictures say of themselves and makes small ones of
// large ones.
//
// Everything it is given may be hostile. What a picture claims to be is read
// before anything is decoded, and one that would take too much memory is refused
// then: by its sides, its pixels, and by what the decoder of its format is known
// to hold. Every read asks the context, so that a picture made to be decoded for
// hours ends with it, and a decoder's panic is an error. Small pictures hold
// nothing of the original but its pixels: no place, no camera, no profile.
//
// It never enlarges, keeps no state and bounds no concurrency: a caller decides
// how many pictures are decoded at once, each of which may take up to MaxMemory
// and a few megabytes more.
package picture
