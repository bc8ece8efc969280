package keynest

import _ "embed" // for the document below

// openAPIText describes the whole API. The tests hold every request and answer
// against it.
//
//go:embed openapi.json
var openAPIText []byte

// openAPI serves GET /api/openapi.json.
func (q *request) openAPI() error { return q.send(200, openAPIText) }
