package room_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/room"
)

const mib, gib = 1 << 20, 1 << 30

func TestWatermarksAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]room.Watermark{
		"":                  {Percent: 5, Most: gib},
		"5%, at most 1GiB":  {Percent: 5, Most: gib},
		"5%,at most 1 gib":  {Percent: 5, Most: gib},
		"2.5 %":             {Percent: 2.5},
		"0":                 {},
		"0%":                {},
		"1073741824":        {Bytes: gib},
		"2GiB":              {Bytes: 2 * gib},
		"1.5 GB":            {Bytes: 1_500_000_000},
		"512MiB":            {Bytes: 512 * mib},
		"300kB":             {Bytes: 300_000},
		"7 KiB":             {Bytes: 7 << 10},
		"2tb":               {Bytes: 2e12},
		"1TiB":              {Bytes: 1 << 40},
		"12b":               {Bytes: 12},
		" 10% , at most 5B": {Percent: 10, Most: 5},
	} {
		got, err := room.Parse(text)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1", "-1GiB", "51%", "-5%", "NaN%", "NaN", "Inf", "1e300", "5%, 1GiB", "5%, at most", "5%, at most 0", "1GiB, at most 2GiB", "5 %%", "GiB", "5%,", ","} {
		if got, err := room.Parse(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("Parse(%q) = %+v, %v; want errs.Invalid", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"5%, at most 1GiB", "2GB", "0", "%", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := room.Parse(text)
		if err != nil {
			return
		}
		for _, total := range []int64{0, mib, 1 << 50} {
			if m := w.Marks(total); m.Full != room.Reserve || m.Scarce < m.Full || m.Low < m.Scarce {
				t.Errorf("%q of %d gives %+v", text, total, m)
			}
		}
	})
}

func TestMarks(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		total int64
		want  room.Marks
	}{
		"a share":                            {"5%", 10 * gib, room.Marks{Low: 512 * mib, Scarce: 320 * mib, Full: 128 * mib}},
		"a share of a large disk, limited":   {"", 1000 * gib, room.Marks{Low: gib, Scarce: 576 * mib, Full: 128 * mib}},
		"a small disk has the least one":     {"", 256 * mib, room.Marks{Low: 192 * mib, Scarce: 160 * mib, Full: 128 * mib}},
		"bytes":                              {"2GiB", 0, room.Marks{Low: 2 * gib, Scarce: gib + 64*mib, Full: 128 * mib}},
		"what is off is still the least one": {"0", 100 * gib, room.Marks{Low: 192 * mib, Scarce: 160 * mib, Full: 128 * mib}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := room.Parse(tc.text)
			if got := w.Marks(tc.total); err != nil || got != tc.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestALevelIsLeftOnlyWithSomeSpaceToSpare(t *testing.T) {
	w, err := room.Parse("1600MiB")
	if err != nil {
		t.Fatal(err)
	}
	m := w.Marks(0)
	level := room.Plenty
	for i, step := range []struct {
		free int64
		want room.Level
	}{
		{1600 * mib, room.Plenty}, {1599 * mib, room.Low}, {1650 * mib, room.Low}, {1699 * mib, room.Low}, {1700 * mib, room.Plenty},
		{100 * mib, room.Full}, {135 * mib, room.Full}, {136 * mib, room.Scarce}, {917 * mib, room.Scarce}, {918 * mib, room.Low}, {1699 * mib, room.Low},
		{0, room.Full}, {1 << 40, room.Plenty},
	} {
		if level = m.Level(level, step.free); level != step.want {
			t.Fatalf("step %d, %s free: level %s, want %s", i, room.Bytes(step.free), level, step.want)
		}
	}
}

// From any level, what Need says is enough, and a byte less is not.
func TestNeedIsWhatEndsTheShortage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := room.Watermark{Bytes: rapid.Int64Range(0, 1<<40).Draw(t, "bytes")}
		m := w.Marks(0)
		now := room.Level(rapid.IntRange(0, int(room.Full)).Draw(t, "level"))
		need := m.Need(now)
		if got := m.Level(now, need); got != room.Plenty {
			t.Fatalf("%s with %d free is %s", now, need, got)
		}
		if got := m.Level(now, need-1); got == room.Plenty {
			t.Fatalf("%s with a byte less than %d is %s", now, need, got)
		}
	})
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1.0 KiB", 96 * mib: "96 MiB", 1536 * mib: "1.5 GiB", 300 * gib: "300 GiB", 5 << 40: "5.0 TiB", 1 << 52: "4096 TiB"} {
		if got := room.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSpaceOfAFolder(t *testing.T) {
	s, ok := room.Of(t.TempDir())
	if !ok {
		t.Skip("this system does not tell")
	}
	if s.Total <= 0 || s.Free < 0 || s.Free > s.Total {
		t.Errorf("got %+v", s)
	}
	if _, ok := room.Of(t.TempDir() + "/nothing"); ok {
		t.Error("a folder that does not exist has space")
	}
}
