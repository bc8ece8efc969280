package collection

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// A Document is a document as it is stored: one JSON object with the fields
// that the client sent, in their order, between _id and the metafields. Its
// bytes must not be changed.
type Document struct {
	JSON []byte // with _created, _changed, _createdby, _changedby and _version at the end
	tail int    // where those begin, with the comma before them
}

// recordFormat1 begins a stored document: the format, the length of the JSON
// before the tail as a uvarint, the JSON.
const recordFormat1 = 1

// The fixed parts of the JSON. Times have one length, so the tail is read by
// counting.
const (
	headText      = `{"_id":"`
	createdText   = `,"_created":"`
	changedText   = `","_changed":"`
	createdByText = `","_createdby":`
	changedByText = `,"_changedby":`
	versionText   = `,"_version":`

	timeLayout = "2006-01-02T15:04:05.000Z"
	headLen    = len(headText) + 2*len(OID{}) + 1 // up to the quote behind the id
	createdAt  = len(createdText)                 // in the tail
	changedAt  = createdAt + len(timeLayout) + len(changedText)
	whoAt      = changedAt + len(timeLayout) + len(createdByText)
)

// metafields are the names of what the server writes about a document. What
// clients send under them is ignored.
var metafields = []string{
	"_id", "_created", "_changed", "_createdby", "_changedby", "_version", "_keywords", "_tags", "_mock",
	"_parent_id", "_parent_def", "_parent_field", "_referencedby",
}

func isMetafield(name string) bool {
	return strings.HasPrefix(name, "_") && slices.Contains(metafields, name)
}

// meta is the tail of a document.
type meta struct {
	created, changed     string // as timeLayout
	createdBy, changedBy string
	version              int64
}

func timeText(at time.Time) string { return at.UTC().Format(timeLayout) }

// newDocument puts a document together. parent is its _parent_* fields, with a
// comma before each.
func newDocument(id OID, fields []pair, parent []byte, m meta) Document {
	size := headLen + len(parent) + whoAt + len(m.createdBy) + len(m.changedBy) + 64
	for _, f := range fields {
		size += len(f.raw) + len(f.value) + 2
	}
	p := append(make([]byte, 0, size), headText...)
	p = append(hex.AppendEncode(p, id[:]), '"')
	p = append(appendPairs(p, fields), parent...)
	tail := len(p)
	p = append(append(p, createdText...), m.created...)
	p = append(append(p, changedText...), m.changed...)
	p = query.AppendText(append(p, createdByText...), m.createdBy)
	p = query.AppendText(append(p, changedByText...), m.changedBy)
	p = strconv.AppendInt(append(p, versionText...), m.version, 10)
	return Document{JSON: append(p, '}'), tail: tail}
}

// openDocument reads a stored document. It keeps record's bytes.
func openDocument(record []byte) (Document, error) {
	if len(record) == 0 || record[0] != recordFormat1 {
		return Document{}, errDamaged
	}
	tail, n := binary.Uvarint(record[1:])
	if n <= 0 {
		return Document{}, errDamaged
	}
	p := record[1+n:]
	if tail > uint64(len(p)) {
		return Document{}, errDamaged
	}
	d := Document{JSON: p, tail: int(tail)}
	if !d.whole() {
		return Document{}, errDamaged
	}
	return d, nil
}

var errDamaged = errs.E(errs.Internal, "a stored document is damaged or of a newer format")

// whole looks at the fixed parts only: it is paid for every document of a scan.
func (d Document) whole() bool {
	p, tail := d.JSON, d.JSON[d.tail:]
	if d.tail < headLen || len(tail) < whoAt+2+len(changedByText)+2+len(versionText)+2 || tail[len(tail)-1] != '}' {
		return false
	}
	if string(p[:len(headText)]) != headText || p[headLen-1] != '"' {
		return false
	}
	for _, c := range p[len(headText) : headLen-1] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return string(tail[:createdAt]) == createdText &&
		string(tail[changedAt-len(changedText):changedAt]) == changedText &&
		string(tail[whoAt-len(createdByText):whoAt]) == createdByText
}

// record returns the bytes to store.
func (d Document) record() []byte {
	p := append(make([]byte, 0, len(d.JSON)+6), recordFormat1)
	return append(binary.AppendUvarint(p, uint64(d.tail)), d.JSON...)
}

// ID returns the document's id.
func (d Document) ID() (id OID) {
	_, _ = hex.Decode(id[:], d.JSON[len(headText):headLen-1]) // openDocument has looked at it
	return id
}

// Version is 0 at creation and one more with each update.
func (d Document) Version() int64 {
	v, _ := strconv.ParseInt(string(d.JSON[d.versionAt()+len(versionText):len(d.JSON)-1]), 10, 64)
	return v
}

// versionAt is where the comma before _version is.
func (d Document) versionAt() int {
	// No number holds a colon, so the last one of the document is this one's.
	return max(bytes.LastIndexByte(d.JSON, ':')+1-len(versionText), 0)
}

// CreatedBy returns who created the document: "api" or an e-mail.
func (d Document) CreatedBy() string {
	who := d.JSON[d.tail+whoAt:]
	return string(plainText(who[:textEnd(who, 0)]))
}

// ChangedBy returns who changed the document last: "api" or an e-mail.
func (d Document) ChangedBy() string {
	who := d.JSON[d.tail+whoAt:]
	who = who[min(textEnd(who, 0)+len(changedByText), len(who)):]
	return string(plainText(who[:textEnd(who, 0)]))
}

// Created returns when the document was created, as timeLayout.
func (d Document) created() string {
	return string(d.JSON[d.tail+createdAt : d.tail+createdAt+len(timeLayout)])
}

// fields returns the fields that are no metafields, and the _parent_* ones as
// they stand before the tail. Both are part of the document.
func (d Document) fields() (list []pair, parent []byte) {
	p := d.JSON[:d.tail]
	if len(p) == headLen {
		return nil, nil
	}
	for i := headLen + 1; i < len(p); { // behind the comma
		colon := textEnd(p, i)
		if name := p[i:min(colon, len(p))]; bytes.HasPrefix(name, []byte(`"_parent_`)) && isMetafield(string(plainText(name))) {
			return list, p[i-1:]
		}
		end := skip(p, min(colon+1, len(p)))
		if end <= colon {
			return list, nil
		}
		list = append(list, pair{raw: p[i:colon], value: p[colon+1 : end]})
		i = end + 1
	}
	return list, nil
}

// Parent returns what the document is a child of; nil if it is none.
func (d Document) Parent() *Parent {
	_, p := d.fields()
	if p == nil {
		return nil
	}
	object := append(append([]byte{'{'}, p[1:]...), '}')
	text := func(name string) string { return string(plainText(find(object, name))) }
	return &Parent{ID: text("_parent_id"), Collection: text("_parent_def"), Field: text("_parent_field")}
}

// Plain appends the document as reads show it: no metafields but _id and _parent_*.
func (d Document) Plain(dst []byte) []byte {
	return append(append(dst, d.JSON[:d.tail]...), '}')
}

// Full appends the document with all metafields, _keywords and _tags too.
func (d Document) Full(dst []byte) []byte {
	at := d.versionAt()
	dst = append(dst, d.JSON[:at]...)
	words := query.Keywords(d.JSON, keywordOf(d))
	dst = append(dst, `,"_keywords":[`...)
	for i, w := range words {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = query.AppendText(dst, w)
	}
	dst = append(dst, `],"_tags":`...)
	dst = query.AppendText(dst, strings.Join(words, " "))
	return append(dst, d.JSON[at:]...)
}

// keywordOf is the word that a document has besides its own: that it was
// created with an access key.
func keywordOf(d Document) string {
	if d.CreatedBy() == byKey {
		return byKey
	}
	return ""
}
