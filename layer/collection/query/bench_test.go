package query

import (
	"testing"
	"time"
)

// benchDoc is a stored document of about 300 bytes.
const benchDoc = `{"_id":"56e9d0b301bf3408000006f4","name":"Ada Lovelace","email":"ada@example.com","a":1,"tags":["x","y"],` +
	`"address":{"street":"12 St James Square","city":"London","zip":"SW1Y"},"b":7,"_created":"2016-03-16T21:31:31.627Z",` +
	`"_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api","_version":0}`

func BenchmarkMatch(b *testing.B) {
	for name, q := range map[string]string{
		"two fields": `{"a":1,"b":{"$gt":5}}`,
		"miss":       `{"a":2,"b":{"$gt":5}}`,
		"range":      `{"b":{"$gte":5,"$lt":9}}`,
		"deep":       `{"address.city":"London"}`,
		"contains":   `{"tags":"y"}`,
		"in":         `{"name":{"$in":["Ada Lovelace","Grace Hopper"]}}`,
		"or":         `{"$or":[{"a":9},{"b":7}]}`,
		"date":       `{"_created":{"$gt":{"$date":"2016-01-01"}}}`,
		"regex":      `{"email":{"$regex":"@example"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			q, err := Parse([]byte(q), time.Time{})
			if err != nil {
				b.Fatal(err)
			}
			doc := []byte(benchDoc)
			b.ReportAllocs()
			for b.Loop() {
				q.Match(doc)
			}
		})
	}
	b.Run("filter", func(b *testing.B) {
		f, err := ParseFilter("london ada")
		if err != nil {
			b.Fatal(err)
		}
		doc := []byte(benchDoc)
		b.ReportAllocs()
		for b.Loop() {
			f.Match(doc)
		}
	})
}
