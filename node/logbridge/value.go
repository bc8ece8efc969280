package logbridge

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
)

// noKey is the key of a value without one, as hclog names it.
const noKey = "EXTRA_VALUE_AT_END"

// attrs turns hclog's pairs into attributes.
func attrs(args []any) []slog.Attr {
	out := make([]slog.Attr, 0, (len(args)+1)/2)
	for len(args) >= 2 {
		key, ok := args[0].(string)
		if !ok {
			key = fmt.Sprint(args[0])
		}
		out = append(out, slog.Attr{Key: key, Value: value(args[1])})
		args = args[2:]
	}
	if len(args) == 1 {
		out = append(out, slog.Attr{Key: noKey, Value: value(args[0])})
	}
	return out
}

// value resolves what only hclog knows how to print, and prints what a JSON
// handler would take apart field by field.
func value(v any) slog.Value {
	switch v := v.(type) {
	case nil, bool, string, time.Time, time.Duration,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
		slog.LogValuer:
		return slog.AnyValue(v)
	case hclog.Format:
		return slog.StringValue(format(v))
	case hclog.Hex:
		return slog.StringValue("0x" + strconv.FormatInt(int64(v), 16))
	case hclog.Octal:
		return slog.StringValue("0" + strconv.FormatInt(int64(v), 8))
	case hclog.Binary:
		return slog.StringValue("0b" + strconv.FormatInt(int64(v), 2))
	case hclog.Quote:
		return slog.StringValue(strconv.Quote(string(v)))
	case error, fmt.Stringer:
		// Sprint survives a nil pointer behind the interface.
		return slog.StringValue(fmt.Sprint(v))
	}
	return slog.StringValue(fmt.Sprintf("%+v", v))
}

// format prints what hclog.Fmt has put off.
func format(f hclog.Format) string {
	if len(f) == 0 {
		return ""
	}
	if text, ok := f[0].(string); ok {
		return fmt.Sprintf(text, f[1:]...)
	}
	return fmt.Sprint(f...)
}
