package keynest

import (
	"net/http"
	"strings"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
)

// Texts of 401 that are about the header.
const (
	textNoCredential = "Authentication credentials were not provided."
	textSchemeOnly   = "Invalid token header. No credentials provided."
	textBlankInToken = "Invalid token header. Token string should not contain spaces."
)

var errNoCredential = errs.E(errs.Unauthenticated, textNoCredential)

// credential returns the token of a request. None, and a header of another
// scheme, which is not meant for this API, is no credential.
func credential(r *http.Request) (auth.Credential, error) {
	parts := strings.Fields(r.Header.Get("Authorization"))
	if len(parts) == 0 || !strings.EqualFold(parts[0], "Token") && !strings.EqualFold(parts[0], "Bearer") {
		return auth.Credential{}, nil
	}
	switch len(parts) {
	case 1:
		return auth.Credential{}, errs.E(errs.Unauthenticated, textSchemeOnly)
	case 2:
		return auth.Credential{Value: parts[1]}, nil
	}
	return auth.Credential{}, errs.E(errs.Unauthenticated, textBlankInToken)
}
