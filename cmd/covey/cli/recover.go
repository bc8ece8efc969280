package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/node/recovery"
)

// newClusterRecover makes what brings a cluster back that has lost its quorum.
func (a *app) newClusterRecover() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use: "recover", Short: "Bring back a cluster that has lost its quorum, from one stopped survivor", Args: cobra.ArbitraryArgs,
		Long: `Bring back a cluster that has lost its quorum for good, from the data folder of one
survivor, whose node is stopped. It becomes the only voter of a new cluster with
all that its log holds; the other nodes join that one with empty folders.

While enough voters can still be started, start them: nothing is lost then, and this
command is not needed. If several nodes survive, look at each of them first,

  covey cluster recover inspect --data-dir DIR -o json > n2.json

and give the files of the others to the one with the newest log:

  covey cluster recover --data-dir DIR --survivor n2.json

It says what would be committed that may never have been, and what is known to be
lost, and asks before it changes anything.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return group(cmd, args)
			}
			return a.recoverCluster(cmd.Context(), &o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.dir, "data-dir", "", "`folder` of the survivor (required)")
	fs.StringSliceVar(&o.survivors, "survivor", nil, "`files` of the other survivors, made by inspect, comma-separated")
	fs.BoolVar(&o.force, "force", false, "go on with an older log than that of another survivor, or although a quorum survives")
	fs.BoolVar(&o.dryRun, "dry-run", false, "only say what would be done")
	fs.BoolVar(&o.yes, "yes", false, "do not ask")
	config.CallOnly(fs, "survivor", "force", "dry-run", "yes")
	cmd.AddCommand(a.newRecoverInspect(), a.newRecoverRejoin())
	return cmd
}

type recoverOptions struct {
	dir                string
	survivors          []string
	force, dryRun, yes bool
}

func (a *app) newRecoverInspect() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "inspect", Short: "Show how far the log of a stopped node goes", Args: takes(0, 0),
		Long: "Show how far the log of a stopped node goes. With -o json it is the file that covey cluster recover --survivor reads. It holds no keys and no values.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.openStopped(dir)
			if err != nil {
				return err
			}
			s, err := d.Survivor(time.Now())
			if err = errors.Join(err, d.Close()); err != nil {
				return err
			}
			file, err := s.Encode()
			if err != nil {
				return err
			}
			return a.write(survivorResult(s, file))
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "`folder` of the node (required)")
	return cmd
}

func (a *app) newRecoverRejoin() *cobra.Command {
	var dir string
	var yes bool
	cmd := &cobra.Command{
		Use: "rejoin", Short: "Move a stopped node's old data aside, so that it joins its cluster as a new node", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("--data-dir is needed")
			}
			owner, err := recovery.OwnerOf(dir)
			if err != nil {
				return err
			}
			who := "the data"
			if owner.NodeID != "" {
				who = fmt.Sprintf("the data of node %s of cluster %v", owner.NodeID, owner.ClusterID)
			}
			if err := a.confirm(cmd.Context(), yes, fmt.Sprintf("move %s in %s aside (the node will fetch everything from its cluster)", who, dir)); err != nil {
				return err
			}
			to, err := recovery.Aside(dir, time.Now())
			if err != nil {
				return err
			}
			a.note("the old data is in %s; delete it when the node has joined. Start the node now, with --join to nodes of the cluster", to)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "`folder` of the node (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	config.CallOnly(cmd.Flags(), "yes")
	return cmd
}

// openStopped opens the data folder of a stopped node. What the stores log on the
// way is of interest only when it is a warning.
func (a *app) openStopped(dir string) (*recovery.Data, error) {
	if dir == "" {
		return nil, usagef("--data-dir is needed")
	}
	var level slog.LevelVar
	log, err := a.logger("warn", "auto", &level)
	if err != nil {
		return nil, err
	}
	return recovery.Open(dir, log)
}

func (a *app) recoverCluster(ctx context.Context, o *recoverOptions) (err error) {
	var others []recovery.Survivor
	for _, path := range o.survivors {
		s, err := recovery.ReadFile(path)
		if err != nil {
			return fmt.Errorf("--survivor %s: %w", path, err)
		}
		others = append(others, s)
	}
	d, err := a.openStopped(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var past uint64
	if d.Pending() {
		a.note("a recovery was begun here and is not done: it goes on")
		if o.dryRun {
			return nil
		}
	} else {
		if past, err = a.judgeRecovery(ctx, d, others, o); err != nil || o.dryRun {
			return err
		}
	}
	res, err := d.Recover(time.Now(), past)
	if err != nil {
		return &adviceError{err, "Nothing starts on this folder before it is done: mend what is said, then call the same command again"}
	}
	a.note("cluster %v has taken the place of %v. Copies of what was changed: %s", res.ClusterID, res.Superseded, res.Copies)
	a.note("start this node with its usual flags; every other node with an empty data folder (on a survivor: covey cluster recover rejoin --data-dir DIR) and --join to this one")
	return nil
}

// judgeRecovery says what a recovery would mean, and asks.
func (a *app) judgeRecovery(ctx context.Context, d *recovery.Data, others []recovery.Survivor, o *recoverOptions) (past uint64, err error) {
	self, err := d.Survivor(time.Now())
	if err != nil {
		return 0, err
	}
	as, err := recovery.Assess(self, others)
	if err != nil {
		return 0, err
	}
	for _, line := range lossReport(&as) {
		fmt.Fprintln(a.env.Stderr, line)
	}
	for _, s := range others {
		past = max(past, s.Version)
	}
	switch {
	case o.force:
	case as.Quorum():
		return 0, &adviceError{fmt.Errorf("%d of %d voters survive, which is a quorum: nothing has to be given up", as.Survivors, len(self.Voters)),
			"Start them. If one of them cannot be started leave its file out, or say --force"}
	case as.Newest != self.NodeID:
		return 0, &adviceError{fmt.Errorf("node %s has the newer log", as.Newest), "Recover that one; --force goes on with this one and gives up what is said above"}
	}
	if o.dryRun {
		return past, nil
	}
	return past, a.confirmByTyping(ctx, o.yes, "go on, and give cluster "+self.ClusterID.String()+" up", self.ClusterID.String())
}

// lossReport says in sentences what it would mean to go on with a survivor.
func lossReport(as *recovery.Assessment) []string {
	s := &as.Self
	lines := []string{
		fmt.Sprintf("node %s of cluster %v: log up to entry %d of term %d, in term %d", s.NodeID, s.ClusterID, s.Last, s.LastTerm, s.Term),
		fmt.Sprintf("voters: %s; %d of them survive, a quorum takes %d", strings.Join(s.Voters, ", "), as.Survivors, as.Needed),
		fmt.Sprintf("kept: everything up to entry %d is known to be committed", s.Known),
	}
	if t := s.Tail; t.First > 0 {
		lines = append(lines, fmt.Sprintf("newly committed: entries %d to %d, which may or may not have been acknowledged: %s", t.First, t.Last, tailText(t)))
	}
	for _, l := range as.Losses {
		switch {
		case l.First > 0:
			lines = append(lines, fmt.Sprintf("lost: entries %d to %d, which node %s has and this one has not (%d of %d are known to be committed)",
				l.First, l.Last, l.NodeID, l.Committed, l.Last-l.First+1))
		case l.Replaced:
			lines = append(lines, fmt.Sprintf("wrong: node %s has heard of a later leader; the end of this node's log was never committed, and would be now", l.NodeID))
		}
	}
	for _, id := range as.Diverged {
		lines = append(lines, fmt.Sprintf("the states of %s and %s differ at the same entry, which must not be: keep both folders", s.NodeID, id))
	}
	if len(as.Missing) > 0 {
		ids := strings.Join(as.Missing, ", ")
		lines = append(lines,
			fmt.Sprintf("unknown: what %s committed and no survivor has received; it is lost, and nobody can tell how much it is", ids),
			fmt.Sprintf("danger: %s must be destroyed, or never start on their data again. Those that come back are refused by the new cluster, but enough of them together still are a quorum of the old one: they would serve clients that reach them, and what is written there is lost", ids))
	}
	return lines
}

func tailText(t recovery.Tail) string {
	parts := []string{fmt.Sprintf("%d commands", t.Commands)}
	var ops []string
	for _, kind := range slices.Sorted(maps.Keys(t.Ops)) {
		ops = append(ops, fmt.Sprintf("%s %d", kind, t.Ops[kind]))
	}
	if len(ops) > 0 {
		parts[0] += " (" + strings.Join(ops, ", ") + ")"
	}
	if t.Pieces > 0 {
		parts = append(parts, fmt.Sprintf("%d pieces of large commands", t.Pieces))
	}
	if t.Changes > 0 {
		parts = append(parts, fmt.Sprintf("%d changes of the membership", t.Changes))
	}
	return strings.Join(parts, ", ")
}

func survivorResult(s recovery.Survivor, file []byte) output.Result {
	tail := "nothing"
	if s.Tail.First > 0 {
		tail = fmt.Sprintf("entries %d to %d: %s", s.Tail.First, s.Tail.Last, tailText(s.Tail))
	}
	r := output.Result{Columns: []string{"FIELD", "VALUE"}, Doc: json.RawMessage(file), Raw: file}
	for _, f := range [][2]string{
		{"node", s.NodeID}, {"cluster", s.ClusterID.String()},
		{"term", fmt.Sprint(s.Term)}, {"last entry", fmt.Sprintf("%d of term %d", s.Last, s.LastTerm)},
		{"known to be committed", fmt.Sprint(s.Known)}, {"behind it", tail},
		{"applied", fmt.Sprint(s.Applied)}, {"version", fmt.Sprint(s.Version)}, {"chain", s.Chain},
		{"voters", strings.Join(s.Voters, ", ")}, {"non-voters", strings.Join(s.NonVoters, ", ")},
	} {
		r.Rows = append(r.Rows, output.Row{Cells: f[:]})
	}
	return r
}

// confirmByTyping is confirm for what cannot be undone: the user types word.
func (a *app) confirmByTyping(ctx context.Context, yes bool, what, word string) error {
	if yes {
		return nil
	}
	if !a.env.StdinTerminal {
		return usagef("%s: it needs --yes when nobody can be asked", what)
	}
	fmt.Fprintf(a.env.Stderr, "To %s, type %s: ", what, word)
	text, err := a.typed(ctx)
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(text) == word:
		return nil
	}
	return errors.New("nothing was changed")
}
