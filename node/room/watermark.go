package room

import (
	"math"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Reserve is the space below which nothing is written but removals. The log is
// kept in segments of 64 MiB: one more must always fit, and a flush beside it.
const Reserve = 128 << 20

// DefaultWatermark is what --disk-watermark is if nobody says otherwise.
const DefaultWatermark = "5%, at most 1GiB"

// Watermark is how much free space is little: so many bytes, or a share of the
// file system. The zero value is the least one, see Marks.
type Watermark struct {
	Bytes   int64   // if Percent is 0
	Percent float64 // of the file system's size, up to 50
	Most    int64   // of what Percent comes to; 0 = no limit
}

// Parse reads "2GiB", "5%" or "5%, at most 1GiB". Units are B, kB, MB, GB, TB
// and KiB, MiB, GiB, TiB, in any case; a number alone is bytes. The empty text
// is DefaultWatermark. The error is errs.Invalid.
func Parse(text string) (Watermark, error) {
	if strings.TrimSpace(text) == "" {
		text = DefaultWatermark
	}
	first, second, both := strings.Cut(text, ",")
	first = strings.TrimSpace(first)
	share, percent := strings.CutSuffix(first, "%")
	var w Watermark
	switch {
	case both && !percent:
		return w, wrongMark(text)
	case !percent:
		n, ok := parseBytes(first)
		if !ok {
			return w, wrongMark(text)
		}
		return Watermark{Bytes: n}, nil
	}
	p, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
	if err != nil || !(p >= 0 && p <= 50) {
		return w, wrongMark(text)
	}
	w.Percent = p
	if !both {
		return w, nil
	}
	most, ok := strings.CutPrefix(strings.TrimSpace(second), "at most ")
	if ok {
		w.Most, ok = parseBytes(strings.TrimSpace(most))
	}
	if !ok || w.Most == 0 {
		return Watermark{}, wrongMark(text)
	}
	return w, nil
}

func wrongMark(text string) error {
	return errs.E(errs.Invalid, "%q is no watermark: give bytes (2GiB), a share of the disk up to 50%% (5%%), or both (5%%, at most 1GiB)", text)
}

// units are looked for in this order: "kib" ends with "b" too.
var units = []struct {
	name  string
	bytes float64
}{
	{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1}, {"", 1},
}

func parseBytes(text string) (int64, bool) {
	text = strings.ToLower(text)
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		n *= u.bytes
		if err != nil || !(n >= 0 && n <= math.MaxInt64/2) {
			return 0, false
		}
		return int64(n), true
	}
	return 0, false
}

// Marks are the limits of the levels: below Low a disk is Low, and so on.
type Marks struct{ Low, Scarce, Full int64 }

// Marks returns the marks for a file system of total bytes. They are never less
// than what a node needs to stop in order: Full is Reserve, Low at least half as
// much again, and Scarce lies between the two.
func (w Watermark) Marks(total int64) Marks {
	low := w.Bytes
	if w.Percent > 0 {
		low = int64(float64(total) * w.Percent / 100)
		if w.Most > 0 {
			low = min(low, w.Most)
		}
	}
	low = max(low, Reserve+Reserve/2)
	return Marks{Low: low, Scarce: Reserve + (low-Reserve)/2, Full: Reserve}
}

// Level returns the level at free bytes of one who is at level now. It is left
// for a better one only when a sixteenth more than its mark is free.
func (m Marks) Level(now Level, free int64) Level {
	level := Plenty
	for _, x := range []struct {
		level Level
		mark  int64
	}{{Low, m.Low}, {Scarce, m.Scarce}, {Full, m.Full}} {
		mark := x.mark
		if now >= x.level {
			mark += mark / 16
		}
		if free < mark {
			level = x.level
		}
	}
	return level
}

// Need is how much must be free for one at this level to become Plenty again.
func (m Marks) Need(l Level) int64 {
	if l == Plenty {
		return m.Low
	}
	return m.Low + m.Low/16
}
