package vault

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// maxCascade bounds how many projects, environments, variables and members one
// deletion takes along: a command has room for 100,000 ops, and a transaction
// should not read for long.
const maxCascade = 20_000

// cascade deletes things with all that is in them, in one transaction. What is
// reachable by a number of its own is deleted one by one; the rest by spans.
type cascade struct {
	tx    *kv.Tx
	taken int
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
	}
	for _, u := range users {
		c.tx.Delete(byIDs(memberOfByte, u, id))
	}
	c.tx.Delete(byID(organizationByte, id))
	c.span(byID(membershipByte, id))
	c.span(byID(projectsByte, id))
	c.tx.Delete(countKey(countMembers, id))
	c.tx.Delete(countKey(countProjects, id))
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
	}
	c.tx.Delete(byID(projectByte, id))
	c.span(byID(environmentsByte, id))
	c.span(byID(nameByte, id))
	c.tx.Delete(countKey(countEnvironments, id))
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
	lo, hi := tuple.Span(byID(variableByte, id))
	for rec, err := range c.tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		row, err := decode[variableRow](rec.Value)
		if err != nil {
			return err
		}
		c.tx.Delete(byID(variableIDByte, row.ID))
	}
	c.tx.Delete(byID(environmentByte, id))
	c.tx.DeleteSpan(lo, hi)
	c.tx.Delete(countKey(countVariables, id))
	return nil
}

func (c *cascade) span(prefix []byte) { c.tx.DeleteSpan(tuple.Span(prefix)) }
