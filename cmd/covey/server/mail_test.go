package server

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/collection/mail"
)

func TestTheRelayIsCheckedBeforeAnythingOpens(t *testing.T) {
	const from = "Shop <shop@example.com>"
	for name, tt := range map[string]struct {
		mail Mail
		want string // in the error
	}{
		"no sender":             {Mail{URL: "smtp://mail.example.com"}, "--smtp-from"},
		"a password in the URL": {Mail{URL: "smtp://shop:sesame@mail.example.com", From: from}, "--smtp-password-file"},
		"no URL":                {Mail{URL: "mail.example.com:587", From: from}, "smtp://user@host:587"},
		"no password":           {Mail{URL: "smtp://shop@mail.example.com", From: from}, "password"},
		"a password for nobody": {Mail{Password: "sesame"}, "--smtp"},
		"a sender for nothing":  {Mail{From: from}, "--smtp"},
		"a sender that is none": {Mail{URL: "smtp://mail.example.com", From: "shop"}, "--smtp-from"},
	} {
		relay, err := tt.mail.parse()
		if err == nil || relay != nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
	relay, err := Mail{URL: "smtps://shop@mail.example.com", Password: "sesame", From: from}.parse()
	if err != nil || mailFrom(relay) != `"Shop" <shop@example.com>` || mailKinds(relay, nil, nil)[mail.Kind].Sender == nil {
		t.Errorf("a relay: %v %v", relay, err)
	}
	relay, err = Mail{}.parse()
	if err != nil || mailFrom(relay) != "" || mailKinds(relay, nil, nil)[mail.Kind].Sender != nil {
		t.Errorf("none: %v %v", relay, err)
	}
}
