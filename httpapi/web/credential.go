package web

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/coveydb/covey/internal/auth"
)

// Credential returns what the request offers as its credential: the user name
// of Basic or the text of Bearer, else ?access_token, else ?key. An empty one
// counts as none. An Authorization header that cannot be read as either is a
// credential all the same, one that matches nothing: taking it for none would
// let a mistyped key pass where strangers may.
func Credential(r *http.Request, query Pairs) auth.Credential {
	if c := headerCredential(r); c != "" {
		return auth.Credential{Value: c}
	}
	if c := query.Value("access_token"); c != "" {
		return auth.Credential{Value: c}
	}
	return auth.Credential{Value: query.Value("key")}
}

// unreadable cannot equal a key or token: it holds a NUL.
const unreadable = "unreadable\x00"

func headerCredential(r *http.Request) string {
	h := strings.Trim(r.Header.Get("Authorization"), " ")
	if h == "" {
		return ""
	}
	scheme, rest, _ := strings.Cut(h, " ")
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return rest
	case strings.EqualFold(scheme, "Basic"):
		plain, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			plain, err = base64.RawStdEncoding.DecodeString(rest)
		}
		if err != nil {
			return unreadable
		}
		user, _, _ := strings.Cut(string(plain), ":")
		return user
	}
	return unreadable
}
