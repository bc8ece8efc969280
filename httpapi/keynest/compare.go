package keynest

import (
	"net/http"
	"strings"

	"github.com/coveydb/covey/layer/vault"
)

// flag reads a parameter that says yes or no; missing it says no. What is
// neither is wrong, which is noted among the fields: a typing error must not
// change what an answer means.
func (q *request) flag(name string) bool {
	switch strings.ToLower(strings.TrimSpace(q.query.Value(name))) {
	case "", "false", "0", "no", "off":
		return false
	case "true", "1", "yes", "on":
		return true
	}
	q.wrong(name, "Must be a valid boolean.")
	return false
}

// wrong notes what is wrong with a parameter among the fields.
func (q *request) wrong(name, text string) {
	if q.fields.bad == nil {
		q.fields = newFields(nil)
	}
	q.fields.bad.Add(name, text)
}

// resolving reads whether references are to be resolved, and returns what tells
// the session.
func (q *request) resolving() func(*vault.Session) {
	if q.flag("resolve") {
		return (*vault.Session).ResolveReferences
	}
	return func(*vault.Session) {}
}

// comparison is how an environment differs from another one.
type comparison struct {
	Environment uint64      `json:"environment"`
	With        uint64      `json:"with"`
	Added       []differing `json:"added"`
	Removed     []differing `json:"removed"`
	Changed     []differing `json:"changed"`
	Unchanged   int         `json:"unchanged_count"`
}

type differing struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
	With  *string `json:"with_value,omitempty"`
}

func showDiffering(list []vault.Differing) []differing {
	shown := make([]differing, len(list))
	for i, d := range list {
		shown[i] = differing(d)
	}
	return shown
}

// diff serves GET of how an environment differs from the one in the parameter
// with.
func (q *request) diff() error {
	values := q.flag("values")
	with, ok := q.filterID("with")
	switch {
	case !ok:
		q.wrong("with", "A valid integer is required.")
	case with == 0:
		q.wrong("with", textRequired)
	}
	var d *vault.Difference
	err := q.view(func(s *vault.Session) (err error) {
		if len(q.fields.bad) > 0 { // told to those who may read values here
			return s.Allowed(q.id, vault.ReadValue)
		}
		d, err = s.Compare(q.id, with, values)
		return err
	})
	if err != nil {
		return err
	}
	return q.reply(http.StatusOK, comparison{
		q.id, with, showDiffering(d.Added), showDiffering(d.Removed), showDiffering(d.Changed), d.Unchanged,
	})
}

// copied says what a copy has done, or would do. The counts are there for
// repeats of a request whose lists were too long to be kept.
type copied struct {
	Message      string   `json:"message"`
	Created      []string `json:"created"`
	Updated      []string `json:"updated"`
	Deleted      []string `json:"deleted"`
	CreatedCount int      `json:"created_count"`
	UpdatedCount int      `json:"updated_count"`
	DeletedCount int      `json:"deleted_count"`
	Unchanged    int      `json:"unchanged_count"`
	DryRun       bool     `json:"dry_run"`
	KeysOmitted  bool     `json:"keys_omitted,omitempty"`
}

func showCopied(message string, c *vault.Copied) copied {
	return copied{
		Message: message, Created: c.Created, Updated: c.Updated, Deleted: c.Deleted,
		CreatedCount: len(c.Created), UpdatedCount: len(c.Updated), DeletedCount: len(c.Deleted), Unchanged: c.Unchanged,
	}
}

// brief is the answer without the keys.
func (c copied) brief() any {
	c.Created, c.Updated, c.Deleted, c.KeysOmitted = []string{}, []string{}, []string{}, true
	return c
}

// copyVariables serves POST of variables of an environment into another one.
func (q *request) copyVariables() error {
	return q.copyInto("Variables copied successfully", (*vault.Session).Copy)
}

// promote serves POST of what an environment has into another one.
func (q *request) promote() error {
	return q.copyInto("Variables promoted successfully", (*vault.Session).Promote)
}

// copyInto carries out a copy, or in a dry run looks what it would do.
func (q *request) copyInto(message string, do func(*vault.Session, uint64, vault.CopyOrder) (*vault.Copied, error)) error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	f := &q.fields
	order := vault.CopyOrder{
		To: f.id("to"), Keys: f.textsIfAny("keys"), DryRun: f.truth("dry_run", false),
		Overwrite: f.truth("overwrite", false), RemoveMissing: f.truth("remove_missing", false),
	}
	var answer copied
	if order.DryRun {
		err := q.view(func(s *vault.Session) error {
			done, err := do(s, q.id, order)
			if err == nil {
				answer = showCopied("Nothing was changed", done)
				answer.DryRun = true
			}
			return err
		})
		if err != nil {
			return err
		}
		return q.reply(http.StatusOK, answer)
	}
	return q.saveMany(func(s *vault.Session) (changes, error) {
		done, err := do(s, q.id, order)
		if err != nil {
			return nil, err
		}
		return showCopied(message, done), nil
	})
}
