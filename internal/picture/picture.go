package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/gif" // its first frame
	"image/jpeg"
	"image/png"
	"io"
	"math"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"github.com/coveydb/covey/internal/errs"
)

// What is decoded at most.
const (
	MaxPixels = 40_000_000
	MaxSide   = 20_000
	MaxMemory = 384 << 20 // bytes that a decoder is expected to hold
)

// quality is that of the JPEGs that are made, from 1 to 100.
const quality = 85

// Info is what a picture says of itself.
type Info struct {
	Format        string // jpeg, png, gif, webp or bmp
	Width, Height int    // as it is meant to be seen, in pixels
	Orientation   int    // 1 to 8, as EXIF has it; 1 is as stored
	EXIF          []byte // a JSON object of its tags, nil if there are none
}

// Picture is one that was made.
type Picture struct {
	Type string // image/jpeg, or image/png where it is not opaque
	Data []byte
}

// Inspect reads what a picture says of itself, without decoding it. What is no
// picture of a known format is errs.Invalid; an error of r comes back wrapped.
func Inspect(ctx context.Context, r io.ReadSeeker) (info Info, err error) {
	defer guard(&err)
	in := &source{ctx: ctx, r: r}
	if err := in.rewind(); err != nil {
		return Info{}, err
	}
	c, format, err := image.DecodeConfig(in)
	if err != nil {
		return Info{}, in.failure(err)
	}
	info = Info{Format: format, Width: c.Width, Height: c.Height, Orientation: 1}
	if info.EXIF, info.Orientation, err = readEXIF(in, format); err != nil {
		return Info{}, err
	}
	if info.Orientation >= 5 {
		info.Width, info.Height = c.Height, c.Width
	}
	return info, nil
}

// Fits reports whether Scale would make a picture of that width: it is smaller
// than the original, and that is not too large to be decoded.
func (i Info) Fits(width int) bool {
	return width > 0 && width < i.Width && i.Height > 0 &&
		i.Width <= MaxSide && i.Height <= MaxSide && i.Width*i.Height <= MaxPixels
}

// Scale makes a picture of the given width, with the sides of the original in
// proportion and turned as its orientation says. One that does not fit, or
// cannot be decoded, is errs.Invalid; one that takes longer than ctx allows is
// errs.Unavailable.
func Scale(ctx context.Context, r io.ReadSeeker, width int) (p Picture, err error) {
	defer guard(&err)
	info, err := Inspect(ctx, r)
	if err != nil {
		return Picture{}, err
	}
	if !info.Fits(width) {
		return Picture{}, errs.E(errs.Invalid, "a picture of %d x %d pixels is not scaled to a width of %d", info.Width, info.Height, width)
	}
	in := &source{ctx: ctx, r: r}
	if err := in.affordable(info); err != nil {
		return Picture{}, err
	}
	decoded, _, err := image.Decode(in)
	if err != nil {
		return Picture{}, in.failure(err)
	}
	height := max(1, int(math.Round(float64(info.Height)*float64(width)/float64(info.Width))))
	if info.Orientation >= 5 {
		width, height = height, width
	}
	return encode(turn(shrink(decoded, width, height), info.Orientation))
}

// affordable refuses a picture whose decoder would hold too much: by the bytes
// that each format's decoder has for a pixel at the worst.
func (s *source) affordable(info Info) error {
	each := map[string]int{"gif": 1, "bmp": 4, "png": 8, "webp": 7, "jpeg": 4}[info.Format]
	if info.Format == "jpeg" {
		progressive, err := s.progressive()
		if err != nil {
			return err
		}
		if progressive { // all coefficients are held, four bytes each
			each = 20
		}
	}
	if n := each * info.Width * info.Height; n > MaxMemory {
		return errs.E(errs.Invalid, "a picture of %d x %d pixels may take %d bytes to decode, the limit is %d", info.Width, info.Height, n, MaxMemory)
	}
	return s.rewind()
}

// progressive looks for a JPEG's frame header, which says how it is stored.
func (s *source) progressive() (bool, error) {
	if err := s.rewind(); err != nil {
		return false, err
	}
	var head [4]byte
	if _, err := io.ReadFull(s, head[:2]); err != nil {
		return false, s.failure(err)
	}
	for {
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return false, s.failure(err)
		}
		n := int64(head[2])<<8 | int64(head[3])
		switch marker := head[1]; {
		case head[0] != 0xff || n < 2:
			return true, nil // odd but perhaps decodable: the worst is assumed
		case marker == 0xc0 || marker == 0xc1:
			return false, nil
		case marker == 0xc2:
			return true, nil
		}
		if _, err := s.Seek(n-2, io.SeekCurrent); err != nil {
			return false, err
		}
	}
}

// shrink scales to the given sides, which are none of them longer than m's. It
// first takes the mean of whole blocks of pixels, so that every pixel counts,
// and goes the rest of the way, less than half, between neighbours.
func shrink(m image.Image, width, height int) *image.RGBA {
	b := m.Bounds()
	if f := min(b.Dx()/width, b.Dy()/height); f > 1 {
		m = mean(m, f)
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.ApproxBiLinear.Scale(out, out.Bounds(), m, m.Bounds(), draw.Src, nil)
	return out
}

// mean makes one pixel of each block of f x f. What is left over at the right
// and below belongs to the last blocks.
func mean(m image.Image, f int) *image.RGBA {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx()/f, b.Dy()/f))
	strip := image.NewRGBA(image.Rect(0, 0, b.Dx(), f+b.Dy()%f))
	for y := range out.Rect.Dy() {
		rows := f
		if y == out.Rect.Dy()-1 {
			rows = b.Dy() - y*f
		}
		// Conversion is the standard library's, which is fast for all formats.
		draw.Draw(strip, image.Rect(0, 0, b.Dx(), rows), m, image.Pt(b.Min.X, b.Min.Y+y*f), draw.Src)
		for x := range out.Rect.Dx() {
			columns := f
			if x == out.Rect.Dx()-1 {
				columns = b.Dx() - x*f
			}
			sum := block(strip, x*f, columns, rows)
			for i, pixel := 0, out.Pix[out.PixOffset(x, y):]; i < len(sum); i++ {
				pixel[i] = byte(sum[i] / (columns * rows))
			}
		}
	}
	return out
}

// block sums up the pixels of a strip from a column on, colour by colour.
func block(strip *image.RGBA, from, columns, rows int) (sum [4]int) {
	for row := range rows {
		at := strip.PixOffset(from, row)
		for p := strip.Pix[at : at+4*columns]; len(p) >= 4; p = p[4:] {
			sum[0] += int(p[0])
			sum[1] += int(p[1])
			sum[2] += int(p[2])
			sum[3] += int(p[3])
		}
	}
	return sum
}

// turn makes what is stored upright, as the EXIF orientation says.
func turn(m *image.RGBA, orientation int) *image.RGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	var from func(x, y int) (int, int) // where a pixel of the result is stored
	switch orientation {
	case 2:
		from = func(x, y int) (int, int) { return w - 1 - x, y }
	case 3:
		from = func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }
	case 4:
		from = func(x, y int) (int, int) { return x, h - 1 - y }
	case 5:
		from = func(x, y int) (int, int) { return y, x }
	case 6:
		from = func(x, y int) (int, int) { return y, h - 1 - x }
	case 7:
		from = func(x, y int) (int, int) { return w - 1 - y, h - 1 - x }
	case 8:
		from = func(x, y int) (int, int) { return w - 1 - y, x }
	default:
		return m
	}
	out := image.NewRGBA(m.Rect)
	if orientation >= 5 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			u, v := from(x, y)
			copy(out.Pix[out.PixOffset(x, y):][:4], m.Pix[m.PixOffset(u, v):][:4])
		}
	}
	return out
}

func encode(m *image.RGBA) (Picture, error) {
	var b bytes.Buffer
	if m.Opaque() {
		err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality})
		return Picture{Type: "image/jpeg", Data: b.Bytes()}, err
	}
	err := png.Encode(&b, m)
	return Picture{Type: "image/png", Data: b.Bytes()}, err
}

// guard makes an error of a panic: decoders are given what strangers have made.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = errs.E(errs.Invalid, "the picture cannot be decoded: %s", fmt.Sprint(p))
	}
}
