package media

import (
	"crypto/rand"
	"encoding/hex"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 200 // bytes
	noName  = "file"
	// maxFile is how long what a file can be asked for by may be: 32
	// hexadecimal digits and a name.
	maxFile = 2*fileDigits + maxName

	fileDigits = 16 // bytes
)

// CleanName makes a name of what a client calls a file: the last part of a
// path, however its system writes paths, of at most 200 bytes of UTF-8 without
// control characters and those that turn text around. A name that is too long
// keeps its extension. What has no name is called file.
func CleanName(given string) string {
	if i := strings.LastIndexAny(given, `/\`); i >= 0 {
		given = given[i+1:]
	}
	name := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, given)
	name = strings.TrimSpace(name)
	if len(name) > maxName {
		ext := path.Ext(name)
		if len(ext) > maxName/4 {
			ext = ""
		}
		name = strings.TrimSpace(cut(name, maxName-len(ext))) + ext
	}
	if strings.Trim(name, ".") == "" {
		return noName
	}
	return name
}

// cut returns the longest beginning of whole characters that has at most n
// bytes.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// drawFile makes what a file of this name can be asked for by: with drawn
// digits, so that two of one name are two, and without what would have to be
// escaped in a path.
func drawFile(name string) string {
	var p [fileDigits]byte
	_, _ = rand.Read(p[:]) // documented never to return an error
	return hex.EncodeToString(p[:]) + strings.Map(func(r rune) rune {
		if strings.ContainsRune(`%?#"<>`, r) {
			return '_'
		}
		return r
	}, name)
}

// DrawUpload draws the id of an upload, 32 hexadecimal digits.
func DrawUpload() string { return drawFile("") }
