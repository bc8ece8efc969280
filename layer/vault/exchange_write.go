package vault

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/coveydb/covey/layer/vault/dotenv"
)

// appendExport appends pairs, which are in the order in which they were
// created, in a format. The style is for .env only.
func appendExport(dst []byte, f Format, style dotenv.Style, pairs []pair) ([]byte, error) {
	if f == FormatJSON {
		return appendPairsJSON(dst, pairs), nil
	}
	pairs = slices.SortedFunc(slices.Values(pairs), func(a, b pair) int { return strings.Compare(a.key, b.key) })
	if f == FormatYAML {
		return appendPairsYAML(dst, pairs), nil
	}
	var err error
	for _, p := range pairs {
		if dst, err = dotenv.Append(dst, style, p.key, p.value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendPairsJSON(dst []byte, pairs []pair) []byte {
	if len(pairs) == 0 {
		return append(dst, "{}\n"...)
	}
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONText(append(dst, "\n  "...), p.key), ": "...)
		dst = appendJSONText(dst, p.value)
	}
	return append(dst, "\n}\n"...)
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

func appendPairsYAML(dst []byte, pairs []pair) []byte {
	if len(pairs) == 0 {
		return append(dst, "{}\n"...)
	}
	for _, p := range pairs {
		dst = append(appendYAMLText(dst, p.key), ": "...)
		dst = append(appendYAMLText(dst, p.value), '\n')
	}
	return dst
}
