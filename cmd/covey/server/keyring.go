package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// keyringPoll is how often the keyring's file is looked at.
const keyringPoll = 2 * time.Second

// keeper keeps this node's keyring as its file is, tells the cluster which keys
// the node holds, and the log which ones it lacks. It logs ids of keys only.
type keeper struct {
	node      string
	path      string // "" = the node has no keyring
	db        *kv.DB
	inventory *sealed.Inventory
	members   func(context.Context) ([]string, error) // ids, this node's too
	log       *slog.Logger
	every     time.Duration
	news      chan struct{}     // holds one: the keyring has changed
	note      func(text string) // is told what watch read again, or could not; nil = nobody is

	mu   sync.Mutex  // held while the file is read
	seen os.FileInfo // of the file, when it was read; nil = it was not there

	said string // of a file that cannot be read; watch's

	// These are report's.
	counted bool // the log was told what the node lacks, with the keys in held
	held    []string
	missed  []string // primary keys of other nodes that the log was told of
	stray   string   // this node's primary key, if the log was told that no other holds it
}

func newKeeper(cfg *Config, db *kv.DB, inventory *sealed.Inventory, members func(context.Context) ([]string, error)) *keeper {
	return &keeper{
		node: cfg.ID, path: cfg.KeyringFile, db: db, inventory: inventory, members: members, log: cfg.Log,
		every: keyringPoll, news: make(chan struct{}, 1),
	}
}

// reportTime bounds one report: without a quorum it ends in nothing.
const reportTime = 10 * time.Second

// Run does it until ctx ends.
func (k *keeper) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { k.repeat(ctx, k.watch, nil) })
	k.repeat(ctx, k.report, k.news)
}

// repeat does something again and again, and at once when there are news.
func (k *keeper) repeat(ctx context.Context, do func(context.Context), news <-chan struct{}) {
	t := time.NewTicker(k.every)
	defer t.Stop()
	for ctx.Err() == nil {
		do(ctx)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-news:
		}
	}
}

// watch reads the file again when it has changed.
func (k *keeper) watch(ctx context.Context) {
	changed, err := k.poll(ctx)
	if err == nil {
		k.said = ""
		if changed {
			k.noted("the keyring was read again, as its file has changed")
		}
	} else if text := err.Error(); text != k.said {
		k.log.Error("the keyring was not read again, the one in use stays", "error", err)
		k.noted("the keyring was not read again, the one in use stays: " + text)
		k.said = text
	}
}

func (k *keeper) noted(text string) {
	if k.note != nil {
		k.note(text)
	}
}

// report tells the cluster and the log about the keys, where that is news.
func (k *keeper) report(ctx context.Context) {
	some, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	var failed error
	if held := k.inventory.Own(k.node).Keys; !k.counted || !slices.Equal(held, k.held) {
		if failed = k.count(some); failed == nil {
			k.counted, k.held = true, held
		}
	}
	failed = errors.Join(failed, k.inventory.Announce(some, k.db, k.node), k.compare(some))
	if failed != nil && ctx.Err() == nil {
		k.log.Debug("the keys of this node are not announced yet", "error", failed)
	}
}

// poll reads the file again if it is not the one that was read last, and reports
// whether it holds other keys.
func (k *keeper) poll(ctx context.Context) (changed bool, err error) {
	if k.path == "" {
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		gone := k.seen != nil
		k.seen = nil
		if !gone {
			return false, nil // that was said before
		}
	case err != nil:
		return false, errs.E(errs.Invalid, "keyring file: %w", err)
	case sameFile(k.seen, info):
		return false, nil
	}
	return k.read(ctx)
}

func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// reload reads the file again. A nil keeper has none.
func (k *keeper) reload() error {
	if k == nil || k.path == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.read(context.Background())
	return err
}

// read reads the file, and reports whether it holds other keys than it did. The
// caller holds mu.
func (k *keeper) read(ctx context.Context) (changed bool, err error) {
	// Asked before the file is read: a change that comes after that is seen by
	// the next poll.
	k.seen, _ = os.Stat(k.path)
	ring := k.inventory.Keyring
	before := ring.IDs()
	changed, err = ring.ReloadIf(func(ids []string) error { return k.mayGo(ctx, ids) })
	if err != nil || !changed {
		return false, err
	}
	select {
	case k.news <- struct{}{}:
	default: // report has not looked yet
	}
	k.log.Info("the keyring was read again", "primary", ring.Primary(), "keys", ring.IDs())
	if gone := slices.DeleteFunc(before, ring.Holds); len(gone) > 0 {
		k.log.Warn("the keyring does not hold keys any more that it held", "keys", gone)
	}
	return true, nil
}

// mayGo refuses a file without keys that something is sealed with: it is most
// likely another cluster's, or lost a key too early. The node goes on to open
// what they have sealed, and seals nothing with a key that is found to be wrong
// later. The caller holds mu.
func (k *keeper) mayGo(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	var things int64
	_, err := k.db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		tallies, err := k.inventory.Count(ctx, tx)
		for _, t := range tallies {
			if slices.Contains(ids, t.Key) {
				things += t.Count
			}
		}
		return err
	})
	if err != nil {
		k.seen = nil // the next poll asks again
		return errs.E(errs.Unavailable, "keyring file %s lacks keys that are in use (%s), and it is not known whether they are needed: %w", k.path, strings.Join(ids, ", "), err)
	}
	if things > 0 {
		return errs.E(errs.Invalid, "keyring file %s lacks keys that %d secrets are sealed with (%s): bring them back, or seal everything anew first; a node that is to go on without them must be started anew",
			k.path, things, strings.Join(ids, ", "))
	}
	return nil
}

// count tells the log how much in the store this node cannot open. The first
// time it waits for a state that is certainly current, so that a node that comes
// back speaks of today.
func (k *keeper) count(ctx context.Context) error {
	var lacking []string
	var things int64
	_, err := k.db.View(ctx, kv.Consistency{Stale: k.counted}, func(tx *kv.Tx) error {
		tallies, err := k.inventory.Count(ctx, tx)
		lacking, things = k.inventory.Lacking(tallies)
		return err
	})
	if err == nil && things > 0 {
		k.log.Warn("secrets are sealed with master keys that this node lacks, and are unavailable through it: bring it the cluster's keyring file",
			"keys", lacking, "secrets", things)
	}
	return err
}

// compare looks at what the other members have announced.
func (k *keeper) compare(ctx context.Context) error {
	members, err := k.members(ctx)
	if err != nil {
		return err
	}
	var others []sealed.Node
	if _, err := k.db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		all, err := sealed.Nodes(tx)
		others = slices.DeleteFunc(all, func(n sealed.Node) bool {
			return n.ID == k.node || n.Primary == "" || !slices.Contains(members, n.ID)
		})
		return err
	}); err != nil {
		return err
	}
	k.refuseStray(others)
	k.missed = slices.DeleteFunc(k.missed, k.inventory.Keyring.Holds)
	for _, n := range others {
		if k.inventory.Keyring.Holds(n.Primary) || slices.Contains(k.missed, n.Primary) {
			continue
		}
		k.missed = append(k.missed, n.Primary)
		k.log.Warn("another node seals with a master key that this node lacks: bring it the cluster's keyring file", "node", n.ID, "key", n.Primary)
	}
	return nil
}

// refuseStray stops this node from sealing while the other members have keyrings
// and none of them holds its primary key: only this node could open that again.
func (k *keeper) refuseStray(others []sealed.Node) {
	ring := k.inventory.Keyring
	if ring == nil {
		return
	}
	own := ring.Primary()
	if len(others) == 0 || slices.ContainsFunc(others, func(n sealed.Node) bool { return n.Holds(own) }) {
		ring.Refuse("")
		k.stray = ""
		return
	}
	ring.Refuse("this node would seal with the master key " + own + ", which no other member of the cluster holds: start it anew with the cluster's keyring file")
	if k.stray != own {
		k.stray = own
		k.log.Error("this node seals nothing: no other member holds its master key; start it anew with the cluster's keyring file", "key", own)
	}
}
