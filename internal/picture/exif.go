package picture

import (
	"encoding/json"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bep/imagemeta"
)

// Bounds of what is taken from a picture's EXIF.
const (
	maxTags    = 128
	maxTagText = 256     // bytes of a text
	maxEXIF    = 8 << 10 // bytes of the object that is made of it
)

// readEXIF returns the tags that are numbers or texts, and the orientation.
// Damaged tags are no tags; only an error of the reader is one.
func readEXIF(in *source, format string) (object []byte, orientation int, err error) {
	formats := map[string]imagemeta.ImageFormat{"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "webp": imagemeta.WebP}
	known, ok := formats[format]
	if !ok {
		return nil, 1, nil
	}
	if err := in.rewind(); err != nil {
		return nil, 1, err
	}
	orientation = 1
	tags := make(map[string]any)
	size := 0
	// Where the metadata is damaged, what was read before is kept.
	_, _ = imagemeta.Decode(imagemeta.Options{
		R: readSeeker{in}, ImageFormat: known, Sources: imagemeta.EXIF,
		LimitNumTags: 1000, LimitTagSize: 4 << 10,
		ShouldHandleTag: wantedTag,
		HandleTag: func(t imagemeta.TagInfo) error {
			value, ok := simple(t.Value)
			if !ok {
				return nil
			}
			if n, is := value.(float64); is && t.Tag == "Orientation" && n >= 1 && n <= 8 && n == math.Trunc(n) {
				orientation = int(n)
			}
			n := len(t.Tag) + 32
			if text, is := value.(string); is {
				n += 2 * len(text)
			}
			if len(tags) < maxTags && size+n <= maxEXIF {
				size += n
				tags[t.Tag] = value
			}
			return nil
		},
	})
	if in.err != nil {
		return nil, 1, in.err
	}
	if len(tags) == 0 {
		return nil, orientation, nil
	}
	object, err = json.Marshal(tags)
	if err != nil || len(object) > maxEXIF {
		return nil, orientation, nil
	}
	return object, orientation, nil
}

// readSeeker is what imagemeta wants to see of a source.
type readSeeker struct{ io.ReadSeeker }

// wantedTag leaves out what is said of a thumbnail, and what only a maker's own
// programs understand.
func wantedTag(t imagemeta.TagInfo) bool {
	return strings.HasPrefix(t.Namespace, "IFD0") && !strings.HasPrefix(t.Tag, imagemeta.UnknownPrefix) &&
		!strings.Contains(t.Tag, "MakerNote") && !strings.Contains(t.Tag, "Thumbnail")
}

// simple returns a value as JSON has it: a number or a text.
func simple(v any) (any, bool) {
	number := func(f float64) (any, bool) { return f, !math.IsNaN(f) && !math.IsInf(f, 0) }
	switch v := v.(type) {
	case string:
		text := strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == utf8.RuneError || unicode.IsControl(r) {
				return -1
			}
			return r
		}, v))
		return text, text != "" && len(text) <= maxTagText
	case interface{ Float64() float64 }:
		return number(v.Float64())
	case uint8:
		return number(float64(v))
	case int8:
		return number(float64(v))
	case uint16:
		return number(float64(v))
	case int16:
		return number(float64(v))
	case uint32:
		return number(float64(v))
	case int32:
		return number(float64(v))
	case int:
		return number(float64(v))
	case float32:
		return number(float64(v))
	case float64:
		return number(v)
	}
	return nil, false
}
