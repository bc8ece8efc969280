package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPieces(t *testing.T) {
	item := strings.Repeat("x", 300<<10)
	for name, tt := range map[string]struct {
		method string
		items  int
		begun  bool
		sent   int // items that went out, or came before no more were wanted
		body   int // bytes
	}{
		"short":      {"GET", 3, false, 3, 0},
		"long":       {"GET", 9, true, 9, 9 * len(item)},
		"long, HEAD": {"HEAD", 9, true, 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			begins := 0
			p := Pieces{W: rec, R: httptest.NewRequest(tt.method, "/", nil), Time: time.Second}
			p.Begin = func() { begins++; rec.WriteHeader(http.StatusAccepted) }
			sent := 0
			for range tt.items {
				p.Buf = append(p.Buf, item...)
				sent++
				if more, err := p.Flush(); err != nil {
					t.Fatal(err)
				} else if !more {
					break
				}
			}
			if p.Begun() {
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
			}
			if p.Begun() != tt.begun || begins != 0 != tt.begun || begins > 1 || sent != tt.sent || rec.Body.Len() != tt.body {
				t.Errorf("begun %v (%d times), %d items, %d bytes", p.Begun(), begins, sent, rec.Body.Len())
			}
		})
	}
}
