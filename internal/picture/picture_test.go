package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/bmp"

	"github.com/coveydb/covey/internal/errs"
)

// quarters is a picture whose quarters are red, green, blue and white, clockwise
// from the upper left.
func quarters(w, h int, opacity uint8) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {255, 255, 255, opacity}, {0, 0, 255, 255}}[corner(x, y, w, h)])
		}
	}
	return m
}

// corner numbers the quarters: upper left, upper right, lower left, lower right.
func corner(x, y, w, h int) int {
	n := 0
	if x >= w/2 {
		n++
	}
	if y >= h/2 {
		n += 2
	}
	return n
}

func encoded(t testing.TB, format string, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "jpeg":
		err = jpeg.Encode(&b, m, nil)
	case "png":
		err = png.Encode(&b, m)
	case "gif":
		err = gif.Encode(&b, m, nil)
	case "bmp":
		err = bmp.Encode(&b, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oriented puts an EXIF segment into a JPEG: an orientation, and a maker.
func oriented(p []byte, orientation uint16) []byte {
	tiff := []byte("II*\x00\x08\x00\x00\x00\x02\x00")
	tiff = append(tiff, 0x0f, 1, 2, 0, 6, 0, 0, 0, 38, 0, 0, 0) // Make, six bytes at 38
	tiff = append(tiff, 0x12, 1, 3, 0, 1, 0, 0, 0)
	tiff = binary.LittleEndian.AppendUint16(tiff, orientation)
	tiff = append(tiff, 0, 0, 0, 0, 0, 0)
	tiff = append(tiff, "Covey\x00"...)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{}, p[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	return append(append(out, segment...), p[2:]...)
}

func TestFormatsAreScaled(t *testing.T) {
	for _, c := range []struct {
		format  string
		opacity uint8
		want    string
	}{
		{"jpeg", 255, "image/jpeg"}, {"png", 255, "image/jpeg"}, {"png", 100, "image/png"}, {"gif", 255, "image/jpeg"}, {"bmp", 255, "image/jpeg"},
	} {
		p, err := Scale(context.Background(), bytes.NewReader(encoded(t, c.format, quarters(333, 200, c.opacity))), 128)
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		m, _, err := image.Decode(bytes.NewReader(p.Data))
		if err != nil || p.Type != c.want || m.Bounds() != image.Rect(0, 0, 128, 77) {
			t.Errorf("%s, opacity %d: %s of %v (%v), want %s of 128 x 77", c.format, c.opacity, p.Type, m.Bounds(), err, c.want)
		}
	}
}

// looks returns the colours of the four corners of a picture, one letter each.
func looks(t *testing.T, p Picture) (string, image.Rectangle) {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(p.Data))
	if err != nil {
		t.Fatal(err)
	}
	b := m.Bounds()
	var s strings.Builder
	for n := range 4 {
		x, y := b.Dx()/4, b.Dy()/4
		if n&1 > 0 {
			x *= 3
		}
		if n&2 > 0 {
			y *= 3
		}
		r, g, bl, _ := m.At(x, y).RGBA()
		letter := map[[3]bool]string{{true, false, false}: "r", {false, true, false}: "g", {false, false, true}: "b", {true, true, true}: "w"}
		s.WriteString(letter[[3]bool{r > 0x8000, g > 0x8000, bl > 0x8000}])
	}
	return s.String(), b
}

func TestOrientationIsApplied(t *testing.T) {
	p := encoded(t, "jpeg", quarters(600, 300, 255)) // r g / w b
	for orientation, want := range map[uint16]string{
		0: "rgwb", 1: "rgwb", 2: "grbw", 3: "bwgr", 4: "wbrg", 5: "rwgb", 6: "wrbg", 7: "bgwr", 8: "gbrw", 9: "rgwb",
	} {
		small, err := Scale(context.Background(), bytes.NewReader(oriented(p, orientation)), 100)
		if err != nil {
			t.Fatalf("orientation %d: %v", orientation, err)
		}
		size := image.Rect(0, 0, 100, 50)
		if orientation >= 5 && orientation <= 8 {
			size = image.Rect(0, 0, 100, 200)
		}
		if got, b := looks(t, small); got != want || b != size {
			t.Errorf("orientation %d: %s of %v, want %s of %v", orientation, got, b, want, size)
		}
		if bytes.Contains(small.Data, []byte("Covey")) {
			t.Error("the small picture holds EXIF")
		}
	}
}

func TestInspectTellsWhatIsSeen(t *testing.T) {
	info, err := Inspect(context.Background(), bytes.NewReader(oriented(encoded(t, "jpeg", quarters(60, 30, 255)), 6)))
	if err != nil || info.Width != 30 || info.Height != 60 || info.Orientation != 6 || info.Format != "jpeg" ||
		string(info.EXIF) != `{"Make":"Covey","Orientation":6}` {
		t.Errorf("got %+v with %s (%v)", info, info.EXIF, err)
	}
}

func TestEveryPixelCounts(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 1000, 100))
	for i := range m.Pix {
		m.Pix[i] = byte(255 * (i % 2)) // every other column
	}
	p, err := Scale(context.Background(), bytes.NewReader(encoded(t, "png", m)), 100)
	if err != nil {
		t.Fatal(err)
	}
	small, err := jpeg.Decode(bytes.NewReader(p.Data))
	if err != nil {
		t.Fatal(err)
	}
	for x := range 100 {
		if y := color.GrayModel.Convert(small.At(x, 5)).(color.Gray).Y; y < 120 || y > 135 {
			t.Fatalf("column %d is %d, want the mean of black and white", x, y)
		}
	}
}

// header is a PNG that claims to have the given sides and holds nothing.
func header(w, h uint32) []byte {
	p := encodedTiny()
	binary.BigEndian.PutUint32(p[16:], w)
	binary.BigEndian.PutUint32(p[20:], h)
	sum := crc(p[12:29])
	binary.BigEndian.PutUint32(p[29:], sum)
	return p
}

func encodedTiny() []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))) // to memory
	return b.Bytes()
}

func crc(p []byte) uint32 {
	sum := ^uint32(0)
	for _, c := range p {
		sum ^= uint32(c)
		for range 8 {
			sum = sum>>1 ^ 0xedb88320&-(sum&1)
		}
	}
	return ^sum
}

func TestWhatIsNotScaled(t *testing.T) {
	gifBomb := encoded(t, "gif", quarters(10, 10, 255))
	binary.LittleEndian.PutUint16(gifBomb[6:], 65535)
	binary.LittleEndian.PutUint16(gifBomb[8:], 65535)
	whole := encoded(t, "jpeg", quarters(400, 400, 255))
	for name, p := range map[string][]byte{
		"a pixel bomb":                  header(50_000, 50_000),
		"one row too many":              header(1000, 20_001),
		"40 megapixels and some":        header(8000, 5001),
		"a GIF that lies":               gifBomb,
		"a picture of that width":       encoded(t, "png", quarters(128, 500, 255)),
		"a smaller picture":             encoded(t, "png", quarters(20, 20, 255)),
		"half a picture":                whole[:len(whole)/2],
		"a header without its pixels":   header(500, 500),
		"no picture":                    []byte("<svg onload=alert(1)>"),
		"nothing":                       nil,
		"a progressive one of 24 MP":    progressive(6000, 4000),
		"a JPEG whose header ends soon": {0xff, 0xd8, 0xff},
	} {
		if _, err := Scale(context.Background(), bytes.NewReader(p), 128); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// progressive is the head of a JPEG that is stored progressively.
func progressive(w, h uint16) []byte {
	p := []byte{0xff, 0xd8, 0xff, 0xc2, 0, 17, 8}
	p = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(p, h), w)
	return append(p, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
}

type broken struct{ io.ReadSeeker }

var errBroken = errors.New("broken")

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestAPictureIsNotBlamedForItsReader(t *testing.T) {
	if _, err := Scale(context.Background(), broken{bytes.NewReader(nil)}, 128); !errors.Is(err, errBroken) {
		t.Errorf("a broken reader: %v", err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	if _, err := Scale(ctx, bytes.NewReader(encoded(t, "png", quarters(500, 500, 255))), 128); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no time: %v", err)
	}
}

func FuzzScale(f *testing.F) {
	for _, format := range []string{"jpeg", "png", "gif", "bmp"} {
		f.Add(encoded(f, format, quarters(40, 20, 255)))
	}
	f.Add(oriented(encoded(f, "jpeg", quarters(40, 20, 255)), 6))
	f.Add(progressive(20, 20))
	f.Add([]byte("RIFF\x24\x00\x00\x00WEBPVP8L\x18\x00\x00\x00\x2f"))
	f.Fuzz(func(t *testing.T, p []byte) {
		info, err := Inspect(context.Background(), bytes.NewReader(p))
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Fatalf("inspect: %v", err)
		}
		if info.Width*info.Height > 1<<20 { // slow, and of no other kind
			return
		}
		small, err := Scale(context.Background(), bytes.NewReader(p), 8)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("scale: %v", err)
			}
			return
		}
		if c, _, err := image.DecodeConfig(bytes.NewReader(small.Data)); err != nil || c.Width != 8 || c.Height < 1 {
			t.Fatalf("made %d x %d: %v", c.Width, c.Height, err)
		}
	})
}

func BenchmarkScale12Megapixels(b *testing.B) {
	p := encoded(b, "jpeg", quarters(4000, 3000, 255))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Scale(context.Background(), bytes.NewReader(p), 640); err != nil {
			b.Fatal(err)
		}
	}
}
