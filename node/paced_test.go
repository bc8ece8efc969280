package node

import (
	"io"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func TestAReaderOfABackupHasToKeepUp(t *testing.T) {
	mib := make([]byte, 1<<20)
	for name, tt := range map[string]struct {
		taken  int64
		waited time.Duration
		ok     bool
	}{
		"a reader that begins":     {0, 50 * time.Second, true},
		"one that never began":     {0, 62 * time.Second, false},
		"one that keeps up":        {100 << 20, 150 * time.Second, true},
		"one that has fallen back": {100 << 20, 165 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &paced{ctx: t.Context(), w: io.Discard, taken: tt.taken, waited: tt.waited}
			if _, err := p.Write(mib); (err == nil) != tt.ok || err != nil && !errs.Is(err, errs.Unavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}
