package kot

import (
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

// command is one command of /execute.
type command struct {
	endpoint string // does the same, so its restriction holds here too
	words    int    // that must follow the command
	work     func(q *request, words []string) error
}

// commands is the whole language: a command and words between blanks. There is
// no quoting; words past the last known one are ignored.
var commands = map[string]command{
	"SET":                 {"set", 2, (*request).executeSet},
	"GET":                 {"get", 2, (*request).executeGet},
	"GET_ALL":             {"get_all", 1, (*request).executeGetAll},
	"DELETE":              {"delete", 2, (*request).executeDelete},
	"DATABASE_LIST":       {"database_list", 0, func(q *request, _ []string) error { return q.serveList() }},
	"DATABASE_POP":        {"database_pop", 1, (*request).executePop},
	"DATABASE_DELETE":     {"database_delete", 1, (*request).executeDrop},
	"DATABASE_POP_ALL":    {"database_pop_all", 0, func(q *request, _ []string) error { return q.done("null", q.change(popAll)) }},
	"DATABASE_DELETE_ALL": {"database_delete_all", 0, func(q *request, _ []string) error { return q.done("null", q.change(dropAll)) }},
}

// parseQuery returns the command of a query and the words after it; ok is false
// if there is no such command.
func parseQuery(query string) (c command, words []string, ok bool) {
	words = strings.Fields(query)
	if len(words) == 0 {
		return command{}, nil, false
	}
	c, ok = commands[words[0]]
	return c, words[1:], ok
}

// mapped returns the endpoint that does what the query would, "" if none does.
func (q *request) mapped() string {
	c, _, _ := parseQuery(q.fields.text("query"))
	return c.endpoint
}

func (q *request) serveExecute() error {
	query, err := q.required("query")
	if err != nil {
		return err
	}
	c, words, ok := parseQuery(query)
	switch {
	case !ok:
		return broken(errs.E(errs.Invalid, "the query begins with no known command"))
	case len(words) < c.words:
		return broken(errs.E(errs.Invalid, "the query has %d words after its command, which wants %d", len(words), c.words))
	}
	return c.work(q, words)
}

// done answers a command that changes something.
func (q *request) done(result string, err error) error {
	if err != nil {
		return err
	}
	return q.json([]byte(result))
}

// keyWord returns the encryption key at i, "" if the query ends before. Without
// quotes there is no empty word, so None stands for none.
func keyWord(words []string, i int) string {
	if i >= len(words) || words[i] == "None" {
		return ""
	}
	return words[i]
}

func (q *request) executeSet(words []string) error {
	var v database.Value
	if len(words) > 2 {
		v = database.Value{Kind: database.String, Text: words[2]}
	}
	return q.done("true", q.set(target{words[0], words[1]}, v, database.Options{EncryptionKey: keyWord(words, 3), Compress: len(words) > 4}))
}

func (q *request) executeGet(words []string) error {
	return q.get(target{words[0], words[1]}, keyWord(words, 2))
}

func (q *request) executeGetAll(words []string) error {
	return q.getAll(words[0], "")
}

func (q *request) executeDelete(words []string) error {
	return q.done("true", q.remove(target{words[0], words[1]}))
}

func (q *request) executePop(words []string) error {
	return q.done("true", q.change(func(tx *kv.Tx) error { return database.Pop(tx, words[0]) }))
}

func (q *request) executeDrop(words []string) error {
	return q.done("true", q.drop(words[0]))
}
