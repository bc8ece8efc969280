package fleet

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// TokenText is what an operator carries to a new node: one line.
type TokenText struct {
	Endpoints []string `json:"endpoints"`    // base URLs of nodes
	CA        [][]byte `json:"ca,omitempty"` // DER; who is trusted to be one of them, besides nobody
	ID        string   `json:"id"`
	Secret    string   `json:"secret"`
}

const tokenPrefix = "covey-join-1."

// Bounds of a token's text. A secret has 256 bits as text.
const (
	maxTokenText = 16 << 10
	maxEndpoints = 16
	maxCAs       = 8
)

// String returns a placeholder: only Encode shows the secret.
func (t TokenText) String() string { return "join token " + t.ID }

// Encode returns the line.
func (t TokenText) Encode() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(encode(t))
}

// ParseToken reads what Encode wrote. Errors are errs.Unauthenticated, say what
// is wrong, and hold nothing of the text.
func ParseToken(text string) (t TokenText, err error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case !ok:
		return t, errs.E(errs.Unauthenticated, "this is not a join token: one begins with %s", tokenPrefix)
	case len(text) > maxTokenText:
		return t, errs.E(errs.Unauthenticated, "this is not a join token: it has %d bytes, at most %d are allowed", len(text), maxTokenText)
	}
	p, err := base64.RawURLEncoding.DecodeString(rest)
	if err == nil {
		err = json.Unmarshal(p, &t)
	}
	if err != nil || t.ID == "" || t.Secret == "" || len(t.ID) > maxName || len(t.Secret) > maxName {
		return TokenText{}, errs.E(errs.Unauthenticated, "the join token is garbled: was it copied as a whole?")
	}
	if len(t.Endpoints) == 0 || len(t.Endpoints) > maxEndpoints || len(t.CA) > maxCAs {
		return TokenText{}, errs.E(errs.Unauthenticated, "the join token names %d nodes and %d CAs, 1 to %d and up to %d may be", len(t.Endpoints), len(t.CA), maxEndpoints, maxCAs)
	}
	for _, e := range t.Endpoints {
		if CheckEndpoint(e) != nil {
			return TokenText{}, errs.E(errs.Unauthenticated, "the join token is garbled: it names a node by what is no URL")
		}
	}
	return t, nil
}

// CheckEndpoint is errs.Invalid unless text is the base URL of a node.
func CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return errs.E(errs.Invalid, "endpoint %q is not a URL such as https://10.0.0.1:8700", text)
	}
	return nil
}
