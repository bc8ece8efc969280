package query

import (
	"fmt"
	"testing"
)

// BenchmarkAccumulator adds documents of about 300 bytes; one op is one document.
func BenchmarkAccumulator(b *testing.B) {
	var docs [][]byte
	for n := range 1000 {
		docs = append(docs, fmt.Appendf(nil, `{"_id":"%024x","name":"player %d","team":"team %d","score":%d,"registered":"2016-%02d-%02dT21:31:31.627Z",`+
			`"note":"%0100d","_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api","_version":0}`,
			n, n, n%20, n*7919%1000, n%12+1, n%28+1, n))
	}
	for _, bb := range []struct{ name, q, h string }{
		{"count", "{}", `{"$aggregate":["COUNT:"]}`},
		{"sum", "{}", `{"$aggregate":["SUM:score"]}`},
		{"max", "{}", `{"$aggregate":["MAX:score"]}`},
		{"count by team", "{}", `{"$groupby":["team"],"$aggregate":["COUNT:"]}`},
		{"sum by month", "{}", `{"$groupby":["$DATE.YYYY-MM:registered"],"$aggregate":["SUM:score"]}`},
		{"distinct", `{"$distinct":"team"}`, "{}"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			a, err := NewAccumulator(specOf(b, bb.q, bb.h), AccumulatorConfig{Show: showWhole})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				doc := docs[i%len(docs)]
				if err := a.Add(doc, doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
