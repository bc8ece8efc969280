package cli

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/output"
)

// completionTime bounds how long a shell waits for names from the server.
const completionTime = 3 * time.Second

// maxCompletions bounds how many names a shell gets.
const maxCompletions = 1000

// names are what a shell can complete a word with.
type names func(ctx context.Context, s *nestSession) iter.Seq2[string, error]

func organizationNames(ctx context.Context, s *nestSession) iter.Seq2[string, error] {
	return eachName(s.Organizations(ctx), func(o client.NestOrganization) string { return o.Name })
}

func projectNames(ctx context.Context, s *nestSession) iter.Seq2[string, error] {
	return distinct(s.Projects(ctx, 0, ""),
		func(p client.NestProject) string { return p.Name },
		func(p client.NestProject) string { return number(p.ID) })
}

func environmentNames(ctx context.Context, s *nestSession) iter.Seq2[string, error] {
	return distinct(s.Environments(ctx, 0, ""),
		func(e client.NestEnvironment) string { return e.ProjectName + "/" + e.Name },
		func(e client.NestEnvironment) string { return number(e.Project) + "/" + e.Name })
}

// distinct calls things by name, and those that share one by what is theirs alone.
func distinct[T any](all iter.Seq2[T, error], name, own func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var found []T
		named := map[string]int{}
		for t, err := range all {
			if err != nil {
				yield("", err)
				return
			}
			found = append(found, t)
			named[name(t)]++
		}
		for _, t := range found {
			text := name(t)
			if named[text] > 1 {
				text = own(t)
			}
			if !yield(text, nil) {
				return
			}
		}
	}
}

func eachName[T any](all iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for t, err := range all {
			if !yield(name(t), err) {
				return
			}
		}
	}
}

// complete returns the names that begin with word, none if the server does not
// give them: a shell has no place for an error.
func (a *app) complete(cmd *cobra.Command, v *nestVerb, of names, word string) ([]string, cobra.ShellCompDirective) {
	const only = cobra.ShellCompDirectiveNoFileComp
	if a.fill(cmd.Flags()) != nil { // nothing runs before a completion
		return nil, only
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	cmd.SetContext(ctx)
	s, err := v.open(a)
	if err != nil {
		return nil, only
	}
	defer s.client.Close()
	var found []string
	for name, err := range of(ctx, s) {
		if err != nil || len(found) == maxCompletions {
			break
		}
		if strings.HasPrefix(name, word) && output.Clean(name) == name {
			found = append(found, name)
		}
	}
	return found, only
}

// completeFlag has a flag's value completed with names from the server.
func (a *app) completeFlag(cmd *cobra.Command, flag string, v *nestVerb, of names) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.complete(cmd, v, of, word)
	})
	if err != nil {
		panic(err) // the flag was defined a line before
	}
}

// completeFrom has a flag's value completed from a list.
func completeFrom(cmd *cobra.Command, flag string, from []string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(from, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was defined a line before
	}
}

// completeArgs has arguments completed with names from the server: as many as the
// verb takes.
func (a *app) completeArgs(cmd *cobra.Command, v *nestVerb, of names) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if cmd.Args(cmd, append(args, word)) != nil && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd, v, of, word)
	}
}

// completeKeys has the first argument completed with the keys of an environment.
func (a *app) completeKeys(cmd *cobra.Command, v *nestVerb, env *envFlag) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || env.text == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd, v, keyNames(cmd, env), word)
	}
}

// keyNames are the keys of an environment. The server shows their values with
// them, and records that it did.
func keyNames(cmd *cobra.Command, env *envFlag) names {
	return func(ctx context.Context, s *nestSession) iter.Seq2[string, error] {
		id, err := env.id(cmd, s)
		if err != nil {
			return func(yield func(string, error) bool) { yield("", err) }
		}
		return eachName(s.FindVariables(ctx, id, ""), func(v client.NestVariable) string { return v.Key })
	}
}
