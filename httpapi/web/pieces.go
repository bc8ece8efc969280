package web

import (
	"net/http"
	"time"
)

// pieceSize is how much of an answer waits for its end, in bytes.
const pieceSize = 1 << 20

// Pieces collects an answer whose length is not known beforehand. A short one
// stays in Buf and is answered whole by its maker, with a length, or with the
// status of an error; a long one goes out in pieces of some 1 MiB. Pieces may be
// sent from inside a View, which runs once, so that an answer of any length
// shows one state without being held in memory.
//
// Fill in the fields and append to Buf, with a Flush after every item and an
// End when Begun says so. A Pieces belongs to the goroutine that serves its
// request.
type Pieces struct {
	W     http.ResponseWriter
	R     *http.Request
	Time  time.Duration // how long the client may take to receive 1 MiB
	Begin func()        // writes the headers and the status of a long answer, once
	Buf   []byte        // what is not sent yet
	begun bool
}

// Full reports whether Buf has grown to a piece, which the next Flush sends.
func (p *Pieces) Full() bool { return len(p.Buf) >= pieceSize }

// Flush sends Buf if that has grown to a piece. It reports false if no more is
// wanted, which is what HEAD wants: the headers of a long answer are the same
// however it goes on.
func (p *Pieces) Flush() (more bool, err error) {
	if !p.Full() {
		return true, nil
	}
	if !p.begun {
		p.begun = true
		p.Begin()
	}
	if p.R.Method == http.MethodHead {
		return false, nil
	}
	return true, p.send()
}

// Begun reports whether the answer is going out in pieces.
func (p *Pieces) Begun() bool { return p.begun }

// End sends what is left of an answer that has begun.
func (p *Pieces) End() error {
	if p.R.Method == http.MethodHead {
		return nil
	}
	return p.send()
}

func (p *Pieces) send() error {
	// A piece may be longer than most, by one item, and so may take longer. A
	// writer without deadlines has no slow client to be protected from.
	many := 1 + len(p.Buf)/pieceSize
	_ = http.NewResponseController(p.W).SetWriteDeadline(time.Now().Add(time.Duration(many) * p.Time))
	_, err := p.W.Write(p.Buf)
	p.Buf = p.Buf[:0]
	return ClientGone(err)
}

// ClientGone hides the error of a write to a client that left: there is nobody
// to tell and nothing to repair.
func ClientGone(err error) error {
	if err != nil {
		return http.ErrAbortHandler
	}
	return nil
}
