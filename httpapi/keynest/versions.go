package keynest

import (
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

// version is a version of a variable as clients see it.
type version struct {
	Variable   uint64  `json:"id"`
	Number     uint64  `json:"version"`
	Key        string  `json:"key"`
	Value      *string `json:"decrypted_value"` // null: the variable was deleted
	Created    string  `json:"created_at"`
	Author     *uint64 `json:"created_by"` // null: no user, or nobody knows
	AuthorName string  `json:"created_by_name"`
	Change     string  `json:"change"`
	Current    bool    `json:"is_current"`
}

func showVersion(v vault.Version) version {
	shown := version{
		Variable: v.Variable, Number: v.Number, Key: v.Key, Value: v.Value, Created: stamp(v.Created),
		AuthorName: v.AuthorName, Change: v.Change, Current: v.Current,
	}
	if v.Author != 0 {
		shown.Author = &v.Author
	}
	return shown
}

// listVersions serves GET of a variable's versions, the newest first.
func (q *request) listVersions() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	var page vault.Page[vault.Version]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Versions(q.id, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showVersion)
}

func (q *request) version() error {
	return q.one(func(s *vault.Session, id uint64) (any, error) {
		v, err := s.Version(id, q.number)
		return showVersion(v), err
	})
}

// rollBackVariable serves POST of the version whose value a variable is to have
// again.
func (q *request) rollBackVariable() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	q.fields.require("version")
	number := q.fields.number("version")
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		if number == nil { // told to those who may roll back
			return 0, nil, s.AllowedVariable(q.id, vault.RollBack)
		}
		v, err := s.RollBackVariable(q.id, *number)
		return q.id, showVariable(v), err
	}, variableNow)
}

// listThen is a list of what was, without the things.
type listThen struct {
	Count    int        `json:"count"`
	Next     *string    `json:"next"`
	Previous *string    `json:"previous"`
	Unknown  []string   `json:"unknown"`
	Results  []struct{} `json:"results"`
}

// environmentAt serves GET of the variables that an environment had.
func (q *request) environmentAt(text string, paging vault.Paging) error {
	wanted := &paging
	if !q.paged() {
		wanted = nil
	}
	moment, wrong := vault.ParseMoment(text)
	if q.flag("resolve") {
		q.wrong("resolve", "References cannot be resolved as of a time.")
	}
	var page vault.Page[vault.Variable]
	var unknown []string
	err := q.view(func(s *vault.Session) (err error) {
		if wrong != nil || len(q.fields.bad) > 0 { // told to members
			if err := s.Allowed(q.id, vault.ReadOrganization); err != nil {
				return err
			}
			return wrong
		}
		page, unknown, err = s.EnvironmentAt(q.id, moment, wanted)
		return err
	})
	if err != nil {
		return err
	}
	l := listOf(q, page)
	return replyItems(q, listThen{l.Count, l.Next, l.Previous, unknown, l.Results}, page.Items, showVariable)
}

// takenBack says what taking an environment back has done, or would do. The
// counts are there for repeats of a request whose lists were too long to be
// kept.
type takenBack struct {
	Message       string   `json:"message"`
	Restored      []string `json:"restored"`
	Deleted       []string `json:"deleted"`
	Unknown       []string `json:"unknown"`
	RestoredCount int      `json:"restored_count"`
	DeletedCount  int      `json:"deleted_count"`
	UnknownCount  int      `json:"unknown_count"`
	Unchanged     int      `json:"unchanged_count"`
	DryRun        bool     `json:"dry_run"`
	KeysOmitted   bool     `json:"keys_omitted,omitempty"`
}

func showTakenBack(message string, r vault.RolledBack) takenBack {
	return takenBack{
		Message: message, Restored: r.Restored, Deleted: r.Deleted, Unknown: r.Unknown, Unchanged: r.Unchanged,
		RestoredCount: len(r.Restored), DeletedCount: len(r.Deleted), UnknownCount: len(r.Unknown),
	}
}

// brief is the answer without the keys.
func (a takenBack) brief() any {
	a.Restored, a.Deleted, a.Unknown, a.KeysOmitted = []string{}, []string{}, []string{}, true
	return a
}

// rollBackEnvironment serves POST of the time to which an environment is to be
// taken back.
func (q *request) rollBackEnvironment() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	to, wrong := q.rollback()
	work := func(s *vault.Session) (vault.RolledBack, error) {
		if wrong != nil || len(q.fields.bad) > 0 { // told to those who may roll back
			if err := s.Allowed(q.id, vault.RollBack); err != nil {
				return vault.RolledBack{}, err
			}
			return vault.RolledBack{}, wrong
		}
		return s.RollBackEnvironment(q.id, to)
	}
	if to.DryRun {
		var done vault.RolledBack
		err := q.view(func(s *vault.Session) (err error) {
			done, err = work(s)
			return err
		})
		if err != nil {
			return err
		}
		answer := showTakenBack("Nothing was changed", done)
		answer.DryRun = true
		return q.reply(http.StatusOK, answer)
	}
	return q.saveMany(func(s *vault.Session) (changes, error) {
		done, err := work(s)
		return showTakenBack("Environment rolled back successfully", done), err
	})
}

// rollback reads how far an environment is to be taken back. What is wrong with
// the time is returned, other faults are among the fields.
func (q *request) rollback() (to vault.Rollback, wrong error) {
	f := &q.fields
	to = vault.Rollback{Keys: f.textsIfAny("keys"), DryRun: f.truth("dry_run", false)}
	f.require("at")
	if text := f.text("at"); text != nil {
		to.At, wrong = vault.ParseMoment(*text)
	}
	return to, wrong
}
