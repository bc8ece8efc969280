package nest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/coveydb/covey/client"
)

// Finder turns what people call things into ids. A text of digits is an id as it
// stands, and nothing is asked.
type Finder struct{ Nest *client.Nest }

// AmbiguousError is a name that several things have, or that cannot be one.
type AmbiguousError struct{ text string }

func (e *AmbiguousError) Error() string { return e.text }

// named is something with a name, and how to tell it from others of that name.
type named struct {
	id          uint64
	name, where string
}

// pick returns the id of the one thing that is called name: exactly, or if there
// is none, but for the case of letters.
func pick(kind, name string, all []named) (uint64, error) {
	for _, same := range []func(string) bool{
		func(n string) bool { return n == name },
		func(n string) bool { return strings.EqualFold(n, name) },
	} {
		var found []named
		for _, t := range all {
			if same(t.name) {
				found = append(found, t)
			}
		}
		switch {
		case len(found) == 1:
			return found[0].id, nil
		case len(found) > 1:
			var ids []string
			for _, t := range found {
				ids = append(ids, fmt.Sprintf("%d (%s)", t.id, t.where))
			}
			return 0, &AmbiguousError{fmt.Sprintf("there are several of the %ss called %q: give the id, %s", kind, name, strings.Join(ids, " or "))}
		}
	}
	return 0, fmt.Errorf("%s %q: %w", kind, name, client.ErrNotFound)
}

func collect[T any](seq iter.Seq2[T, error], of func(T) named) (all []named, err error) {
	for t, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, of(t))
	}
	return all, nil
}

// id reads a text of digits.
func id(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return n, err == nil && n > 0
}

// Organization returns the id of an organization.
func (f Finder) Organization(ctx context.Context, text string) (uint64, error) {
	if n, ok := id(text); ok {
		return n, nil
	}
	all, err := collect(f.Nest.Organizations(ctx), func(o client.NestOrganization) named {
		return named{o.ID, o.Name, "as " + o.Role}
	})
	if err != nil {
		return 0, err
	}
	return pick("organization", text, all)
}

// Project returns the id of a project.
func (f Finder) Project(ctx context.Context, text string) (uint64, error) {
	if n, ok := id(text); ok {
		return n, nil
	}
	all, err := collect(f.Nest.Projects(ctx, 0, text), func(p client.NestProject) named {
		return named{p.ID, p.Name, "of " + p.OrganizationName}
	})
	if err != nil {
		return 0, err
	}
	return pick("project", text, all)
}

// Environment returns the id of an environment, which is called
// PROJECT/ENVIRONMENT.
func (f Finder) Environment(ctx context.Context, text string) (uint64, error) {
	if n, ok := id(text); ok {
		return n, nil
	}
	project, name, ok := strings.Cut(text, "/")
	if !ok || project == "" || name == "" {
		return 0, &AmbiguousError{fmt.Sprintf("%q is neither the id of an environment nor PROJECT/ENVIRONMENT", text)}
	}
	in, err := f.Project(ctx, project)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return 0, err
	}
	// A service token for one environment sees no project, but what its is called.
	mine := func(e client.NestEnvironment) bool { return in != 0 || e.ProjectName == project }
	var all []named
	for e, err := range f.Nest.Environments(ctx, in, "") {
		if err != nil {
			return 0, err
		}
		if mine(e) {
			all = append(all, named{e.ID, e.Name, "of " + e.ProjectName})
		}
	}
	if err != nil && len(all) == 0 {
		return 0, err // it is the project that is not there
	}
	return pick("environment", name, all)
}

// Variable returns the variable of an environment that has a key. The server
// shows its value then, and those of variables whose keys hold this one, and
// records that it did.
func (f Finder) Variable(ctx context.Context, environment uint64, key string) (client.NestVariable, error) {
	for v, err := range f.Nest.FindVariables(ctx, environment, key) {
		if err != nil {
			return client.NestVariable{}, err
		}
		if v.Key == key {
			return v, nil
		}
	}
	return client.NestVariable{}, fmt.Errorf("variable %q: %w", key, client.ErrNotFound)
}

// Member returns the id of a member of an organization, by e-mail address or user
// name.
func (f Finder) Member(ctx context.Context, organization uint64, text string) (uint64, error) {
	if n, ok := id(text); ok {
		return n, nil
	}
	members, err := f.Nest.Members(ctx, organization)
	if err != nil {
		return 0, err
	}
	var all []named
	for _, m := range members {
		name := m.Email
		if !strings.Contains(text, "@") {
			name = m.Username
		}
		all = append(all, named{m.ID, name, m.Email})
	}
	return pick("member", text, all)
}
