package vault

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// maxExport bounds a file in bytes: what a value's bytes are escaped as may be
// six times as many.
const maxExport = 96 << 20

func fits(dst []byte) error {
	if len(dst) > maxExport {
		return errs.E(errs.TooLarge, "the file is over %d MiB long in this format: try another one", maxExport>>20)
	}
	return nil
}

// appendExport appends pairs, which are in the order in which they were
// created, in a format. The style is for .env only. More than maxExport bytes
// are errs.TooLarge.
func appendExport(dst []byte, f Format, style dotenv.Style, pairs []pair) ([]byte, error) {
	if f == FormatJSON {
		return appendPairsJSON(dst, pairs)
	}
	pairs = slices.SortedFunc(slices.Values(pairs), func(a, b pair) int { return strings.Compare(a.key, b.key) })
	if f == FormatYAML {
		return appendPairsYAML(dst, pairs)
	}
	var err error
	for _, p := range pairs {
		if dst, err = dotenv.Append(dst, style, p.key, p.value); err != nil {
			return nil, err
		}
		if err := fits(dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendPairsJSON(dst []byte, pairs []pair) ([]byte, error) {
	if len(pairs) == 0 {
		return append(dst, "{}\n"...), nil
	}
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONText(append(dst, "\n  "...), p.key), ": "...)
		dst = appendJSONText(dst, p.value)
		if err := fits(dst); err != nil {
			return nil, err
		}
	}
	return append(dst, "\n}\n"...), nil
}

// appendJSONText appends a JSON string without the escapes that are for web
// pages.
func appendJSONText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text always encodes
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

func appendPairsYAML(dst []byte, pairs []pair) ([]byte, error) {
	if len(pairs) == 0 {
		return append(dst, "{}\n"...), nil
	}
	for _, p := range pairs {
		dst = append(appendYAMLText(dst, p.key), ": "...)
		dst = append(appendYAMLText(dst, p.value), '\n')
		if err := fits(dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
