package vault

import (
	"bytes"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// maxCascade bounds how many projects, environments, variables and members one
// deletion takes along: each is up to four ops and four reads, of which a
// command has room for 100,000, and a transaction should not read for long.
const maxCascade = 20_000

// maxCascadeSpans is how many spans one deletion may use of the thousand that a
// command has room for.
const maxCascadeSpans = 800

// cascade deletes things with all that is in them, in one transaction. They are
// deleted one by one, but for past versions, since a command has room for a
// thousand spans only, and when all has been read: a scan has to sort what was written before it.
type cascade struct {
	tx    *kv.Tx
	taken int
	keys  [][]byte // to be deleted
	spans [][2][]byte
	hooks []hookOf
}

// hookOf is a webhook of an organization.
type hookOf struct{ organization, id uint64 }

// delete deletes what was gathered, at the end.
func (c *cascade) delete() {
	for _, k := range c.keys {
		c.tx.Delete(k)
	}
	for _, span := range c.spans {
		c.tx.DeleteSpan(span[0], span[1])
	}
	for _, h := range c.hooks {
		dropHook(c.tx, h.organization, h.id)
	}
}

// take counts n things more.
func (c *cascade) take(n int) error {
	if c.taken += n; c.taken > maxCascade {
		return errs.E(errs.TooLarge, "this holds more than %d things, which is too much to delete at once: delete what is in it first", maxCascade)
	}
	return nil
}

func (c *cascade) organization(id uint64) error {
	users, err := appendIDs(c.tx, nil, membershipByte, id)
	if err != nil {
		return err
	}
	projects, err := appendIDs(c.tx, nil, projectsByte, id)
	if err != nil {
		return err
	}
	if err := c.take(len(users)); err != nil {
		return err
	}
	for _, p := range projects {
		if err := c.project(p); err != nil {
			return err
		}
		c.gather(byIDs(projectsByte, id, p))
	}
	for _, u := range users {
		c.gather(byIDs(membershipByte, id, u), byIDs(memberOfByte, u, id))
	}
	if err := c.tokens(id); err != nil {
		return err
	}
	hooks, err := readRow[hookList](c.tx, byID(hooksByte, id))
	if err != nil {
		return err
	}
	if hooks != nil {
		for _, h := range hooks.IDs {
			c.hooks = append(c.hooks, hookOf{id, h})
		}
		c.gather(byID(hooksByte, id))
	}
	c.gather(byID(organizationByte, id), countKey(countMembers, id), countKey(countProjects, id))
	return nil
}

// project deletes a project, but for its place in the organization's list.
func (c *cascade) project(id uint64) error {
	environments, err := appendIDs(c.tx, nil, environmentsByte, id)
	if err != nil {
		return err
	}
	if err := c.take(1); err != nil {
		return err
	}
	for _, e := range environments {
		if err := c.environment(e); err != nil {
			return err
		}
		c.gather(byIDs(environmentsByte, id, e))
	}
	if err := c.scan(byID(nameByte, id), nil); err != nil {
		return err
	}
	c.gather(byID(projectByte, id), countKey(countEnvironments, id))
	return nil
}

// environment deletes an environment, but for its places in the project's
// lists.
func (c *cascade) environment(id uint64) error {
	n, err := readCount(c.tx, countVariables, id)
	if err != nil {
		return err
	}
	if err := c.take(1 + n); err != nil { // before their values are read
		return err
	}
	err = c.scan(byID(variableByte, id), func(value []byte) error {
		var row variableRow
		if err := row.decode(value); err != nil {
			return err
		}
		c.gather(byID(variableIDByte, row.ID), byIDs(variablesByte, id, row.ID))
		return nil
	})
	if err != nil {
		return err
	}
	c.gather(byID(environmentByte, id), countKey(countVariables, id))
	return c.versions(id)
}

// versions deletes the past versions of an environment's variables, which may be
// many more than these: as a span, as long as there is room for one.
func (c *cascade) versions(environment uint64) error {
	prefix := byID(pastByte, environment)
	lo, hi := tuple.Span(prefix)
	for _, err := range c.tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if len(c.spans) < maxCascadeSpans {
			c.spans = append(c.spans, [2][]byte{lo, hi})
			return nil
		}
		before := len(c.keys)
		if err := c.scan(prefix, nil); err != nil {
			return err
		}
		return c.take(len(c.keys) - before)
	}
	return nil
}

func (c *cascade) gather(keys ...[]byte) { c.keys = append(c.keys, keys...) }

// scan gathers what has a prefix and calls also, if it is not nil, with each
// value.
func (c *cascade) scan(prefix []byte, also func(value []byte) error) error {
	lo, hi := tuple.Span(prefix)
	for rec, err := range c.tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if also != nil {
			if err := also(rec.Value); err != nil {
				return err
			}
		}
		c.gather(bytes.Clone(rec.Key))
	}
	return nil
}
