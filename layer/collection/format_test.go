package collection

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

// The stored format only grows: these bytes must be read for ever.
func TestStoredFormat(t *testing.T) {
	for _, tt := range []struct {
		what   string
		fields string
		parent *Parent
		m      meta
		record string
	}{
		{
			"an empty one", `{}`, nil,
			meta{created: "2016-03-16T21:31:31.627Z", changed: "2016-03-16T21:31:31.627Z", createdBy: "api", changedBy: "api"},
			"\x01!" + `{"_id":"56e9d0b301bf3408000006f4","_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z",` +
				`"_createdby":"api","_changedby":"api","_version":0}`,
		},
		{
			"a child", `{"a":1,"b":{"c":[1.0,"x"]}}`, &Parent{ID: id2, Collection: "company", Field: "people"},
			meta{
				created: "2016-03-16T21:31:31.627Z", changed: "2026-11-23T02:35:00.000Z", createdBy: `o"h@x.org`,
				changedBy: "\u00e9@x.org", version: 17,
			},
			"\x01\x94\x01" + `{"_id":"56e9d0b301bf3408000006f4","a":1,"b":{"c":[1.0,"x"]},"_parent_id":"56e9d0b301bf3408000006f5",` +
				`"_parent_def":"company","_parent_field":"people","_created":"2016-03-16T21:31:31.627Z",` +
				`"_changed":"2026-11-23T02:35:00.000Z","_createdby":"o\"h@x.org","_changedby":"` + "\u00e9" + `@x.org","_version":17}`,
		},
	} {
		t.Run(tt.what, func(t *testing.T) {
			d := newDocument(oid(t, id1), split([]byte(tt.fields)), tt.parent.fields(), tt.m)
			if diff := cmp.Diff(tt.record, string(d.record())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			d, err := openDocument([]byte(tt.record))
			if err != nil {
				t.Fatal(err)
			}
			fields, parent := d.fields()
			if got := string(joinObject(fields)); got != tt.fields || string(parent) != string(tt.parent.fields()) {
				t.Errorf("fields %s, parent %s", got, parent)
			}
			if got := fmt.Sprint(d.ID(), d.CreatedBy(), d.ChangedBy(), d.Version(), d.created()); got != fmt.Sprint(
				id1, tt.m.createdBy, tt.m.changedBy, tt.m.version, tt.m.created) {
				t.Errorf("got %s", got)
			}
			if diff := cmp.Diff(tt.parent, d.Parent()); diff != "" {
				t.Errorf("parent: -want +got:\n%s", diff)
			}
		})
	}
}

func TestDamagedDocuments(t *testing.T) {
	good := newDocument(oid(t, id1), nil, nil, meta{created: timeText(at), changed: timeText(at), createdBy: "api", changedBy: "api"}).record()
	for _, record := range []string{
		"", "\x01", "\x02" + string(good[1:]), "\x01\x80", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + string(good[2:]), string(good[:40]),
		"\x01\x1f" + string(good[2:]), "\x01\x00" + string(good[2:]), string(good[:len(good)-1]), strings.Replace(string(good), "56e9", "56E9", 1),
	} {
		if _, err := openDocument([]byte(record)); !errs.Is(err, errs.Internal) {
			t.Errorf("%q: got %v", record, err)
		}
	}
}

func FuzzOpenDocument(f *testing.F) {
	m := meta{created: timeText(at), changed: timeText(at), createdBy: "api", changedBy: "a@b.c", version: 3}
	f.Add(newDocument(OID{}, nil, nil, m).record())
	f.Add(newDocument(OID{1}, split([]byte(`{"a":[1,{"b":"\"}"}]}`)), (&Parent{ID: id1, Collection: "c", Field: "f"}).fields(), m).record())
	f.Fuzz(func(t *testing.T, record []byte) {
		d, err := openDocument(record)
		if err != nil {
			return
		}
		_, _, _, _, _ = d.ID(), d.CreatedBy(), d.ChangedBy(), d.Version(), d.created()
		_, _ = d.fields()
		_ = d.Parent()
		if got := d.Plain(nil); len(got) != d.tail+1 {
			t.Errorf("%q: plain %q", record, got)
		}
		again, err := openDocument(d.record())
		if err != nil || string(again.JSON) != string(d.JSON) || again.tail != d.tail {
			t.Errorf("%q: came back as %q, %v", record, again.JSON, err)
		}
	})
}

func BenchmarkOpenDocument(b *testing.B) {
	m := meta{created: timeText(at), changed: timeText(at), createdBy: "api", changedBy: "api"}
	record := newDocument(OID{1}, split([]byte(`{"name":"x","n":[1,2,3]}`)), nil, m).record()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openDocument(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDrafts(b *testing.B) {
	body := []byte(`{"name":"` + strings.Repeat("x", 200) + `","n":[1,2,3],"o":{"a":1.5,"b":null},"t":true}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseDrafts(body, at); err != nil {
			b.Fatal(err)
		}
	}
}
