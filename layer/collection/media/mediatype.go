package media

import (
	"mime"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

const (
	anyBytes = "application/octet-stream"
	anyText  = "text/plain"
	// sniffLength is how much of a file its type is found by, in bytes.
	sniffLength = 3072
)

// harmlessTexts are the types that a client may give to what is some text.
var harmlessTexts = []string{
	"text/csv", "text/tab-separated-values", "text/markdown", "text/calendar", "text/vcard", "text/vtt",
	"application/json", "application/x-ndjson", "application/yaml", "application/geo+json",
}

// TypeOf decides what a file is, by its first bytes. What the client declared
// counts only where they say nothing: for a text one of a few that no browser
// runs, and for other bytes a kind of sound, film, font or picture that would
// not have been recognized.
func TypeOf(head []byte, declared string) string {
	found := mimetype.Detect(head[:min(len(head), sniffLength)]).String()
	plain, _, _ := strings.Cut(found, ";")
	declared, _, err := mime.ParseMediaType(declared)
	if err != nil || len(declared) > 100 {
		return found
	}
	switch plain {
	case anyText:
		if slices.Contains(harmlessTexts, declared) {
			return declared + strings.TrimPrefix(found, plain)
		}
	case anyBytes:
		family, _, _ := strings.Cut(declared, "/")
		if slices.Contains([]string{"audio", "video", "font", "image"}, family) && !strings.Contains(declared, "xml") && mimetype.Lookup(declared) == nil {
			return declared
		}
	}
	return found
}

// Active reports whether a browser might run something of a file of this type,
// or hand it to a program that does: it is shown in no page of its own.
func Active(mediaType string) bool {
	plain, _, _ := strings.Cut(mediaType, ";")
	family, _, _ := strings.Cut(plain, "/")
	switch {
	case plain == anyText, slices.Contains(harmlessTexts, plain):
		return false
	case family == "image", family == "audio", family == "video", family == "font":
		return strings.Contains(plain, "xml")
	}
	return true
}
