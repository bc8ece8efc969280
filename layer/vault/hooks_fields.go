package vault

import (
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/outgoing/webhook"
)

// Bounds of what a webhook is made of.
const (
	maxHookEvents = 50 // names and patterns of one webhook
	minHookSecret = 16 // bytes of a secret that is not of the specification's form
	maxHookSecret = 128
)

// WebhookFields is what a request says of a webhook. What is nil the request
// does not have.
type WebhookFields struct {
	Whole        bool // a POST: what is required must be there
	URL          *string
	Events       *[]string
	Secret       *string // "" = a new one is made up
	Organization *uint64
	Active       *bool
}

// EventNames are the events that a webhook can name, in order. "*" stands for
// all of them, and "variable.*" for those that begin like this.
func EventNames() []string {
	return []string{
		"environment.created", "environment.deleted", "environment.updated",
		"member.added", "member.removed", "member.updated",
		"project.created", "project.deleted", "project.updated",
		"variable.created", "variable.deleted", "variable.updated",
		eventTest,
	}
}

const allEvents = "*"

// names reports whether a pattern of a webhook names an event.
func names(pattern, event string) bool {
	family, ok := strings.CutSuffix(pattern, allEvents)
	return pattern == event || ok && strings.HasPrefix(event, family)
}

// validPattern reports whether a webhook can have a pattern.
func validPattern(pattern string) bool {
	family, ok := strings.CutSuffix(pattern, ".*")
	return pattern == allEvents || slices.ContainsFunc(EventNames(), func(name string) bool {
		return name == pattern || ok && strings.HasPrefix(name, family+".")
	})
}

// check notes what is wrong with the fields, and returns the events as they are
// stored.
func (w WebhookFields) check(f FieldErrors, private bool) (events []string) {
	switch {
	case w.URL != nil && *w.URL == "":
		f.Add("url", textBlank)
	case w.URL != nil:
		if err := webhook.CheckURL(*w.URL, private); err != nil {
			f.Add("url", firstUpper(strings.TrimPrefix(err.Error(), "webhook URL: "))+".")
		}
	case w.Whole:
		f.Add("url", textRequired)
	}
	switch {
	case w.Events != nil:
		events = checkEvents(f, *w.Events)
	case w.Whole:
		f.Add("events", textRequired)
	}
	if w.Organization == nil && w.Whole {
		f.Add("organization", textRequired)
	}
	if w.Secret != nil && *w.Secret != "" {
		if _, err := signingKey(*w.Secret); err != nil {
			f.Add("secret", "Ensure this is whsec_ and 24 to 64 bytes in base64, or 16 to 128 visible ASCII characters.")
		}
	}
	return events
}

func checkEvents(f FieldErrors, list []string) []string {
	switch {
	case len(list) == 0:
		f.Add("events", "This list may not be empty.")
	case len(list) > maxHookEvents:
		f.Add("events", "Ensure this field has no more than 50 elements.")
		return nil
	}
	for _, name := range list {
		if !validPattern(name) {
			f.Add("events", textChoice(name[:min(len(name), maxEnvironmentName)]))
			return nil
		}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// firstUpper makes a text of ours a sentence.
func firstUpper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// signingKey returns what messages are signed with under the Standard Webhooks
// specification: the bytes that a secret of its form stands for, else those of the
// text.
func signingKey(secret string) ([]byte, error) {
	if strings.HasPrefix(secret, "whsec_") {
		return webhook.ParseSecret(secret)
	}
	bad := strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' })
	if bad || len(secret) < minHookSecret || len(secret) > maxHookSecret {
		return nil, errs.E(errs.Invalid, "secret of a webhook: %d to %d visible ASCII characters are allowed", minHookSecret, maxHookSecret)
	}
	return []byte(secret), nil
}

// named lists what a request changes.
func (w WebhookFields) named() (list []string) {
	list = []string{}
	for name, given := range map[string]bool{
		"events": w.Events != nil, "is_active": w.Active != nil, "secret": w.Secret != nil, "url": w.URL != nil,
	} {
		if given {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}
