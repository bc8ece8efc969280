package kot

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

// logLevels are the levels under which the log endpoints print.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn,
	"error": slog.LevelError, "exception": slog.LevelError,
}

// serveLog stores a record in the database that is called as the endpoint, then
// prints it: what is printed is stored.
func (q *request) serveLog() error {
	ctx, cancel := q.patience()
	defer cancel()
	message, given := q.fields.lookup("message")
	record := append(make([]byte, 0, len(message)+32), `[[[],{}],`...)
	if given {
		record = appendText(record, message)
	} else {
		record = append(record, "null"...)
	}
	record = append(record, ']')
	v := database.Value{Kind: database.JSON, Text: string(record)}
	packed, err := q.Codec.Pack(ctx, v, database.Address{}, database.Options{})
	if err != nil {
		return err
	}
	stamp := database.Stamp{Level: q.name, At: q.Now(), Digits: 10_000 + rand.N(90_000)}
	draft := database.NewPlace()
	res, err := q.DB.Update(ctx, func(tx *kv.Tx) error { return database.Append(tx, stamp, packed, draft) })
	if err != nil {
		return err
	}
	q.wrote(res)
	q.print(ctx, message, given)
	return q.sentence(strings.ToUpper(q.name[:1]) + q.name[1:] + " message logged successfully")
}

// maxPrinted bounds what one message takes in the server's log, in bytes.
const maxPrinted = 4 << 10

// print writes a message to the server's log. A long one is cut.
func (q *request) print(ctx context.Context, message string, given bool) {
	attrs := []slog.Attr{slog.String("endpoint", q.name), slog.Any("message", nil)}
	if given {
		shown := message
		if len(shown) > maxPrinted {
			cut := maxPrinted
			for !utf8.RuneStart(shown[cut]) {
				cut--
			}
			shown = shown[:cut]
			attrs = append(attrs, slog.Int("bytes", len(message)))
		}
		attrs[1] = slog.String("message", printable(shown))
	}
	q.Log.LogAttrs(ctx, logLevels[q.name], "KOT message", attrs...)
}
