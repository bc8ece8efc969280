package restdb

import (
	"net/http"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
)

// credentialOf returns what the request offers: an access key or a JWT. The
// header x-apikey comes first, then ?apikey, then Authorization; an empty one
// counts as none.
func credentialOf(r *http.Request, query web.Pairs) (key, jwt auth.Credential) {
	if k := strings.Trim(r.Header.Get("X-Apikey"), " "); k != "" {
		return auth.Credential{Value: k}, jwt
	}
	if k := query.Value("apikey"); k != "" {
		return auth.Credential{Value: k}, jwt
	}
	h := strings.Trim(r.Header.Get("Authorization"), " ")
	scheme, rest, blank := strings.Cut(h, " ")
	switch {
	case !blank:
		return auth.Credential{Value: h}, jwt
	case strings.EqualFold(scheme, "Bearer"):
		return key, auth.Credential{Value: strings.Trim(rest, " ")}
	}
	// Of another scheme. It is a credential all the same, one that matches
	// nothing: a key holds no blank.
	return auth.Credential{Value: h}, jwt
}

// credentialsOfPage returns what an EventSource offers, which cannot send
// headers, for a user: ?jwt with ?rt-apikey, the key of the page. One without
// the other is nothing.
func credentialsOfPage(query web.Pairs) (jwt, page auth.Credential) {
	jwt.Value, page.Value = query.Value("jwt"), query.Value("rt-apikey")
	if jwt.Value == "" || page.Value == "" {
		return auth.Credential{}, auth.Credential{}
	}
	return jwt, page
}
