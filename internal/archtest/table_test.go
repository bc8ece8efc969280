package archtest

import "maps"

// room is one package, or one kind of package, and what it may import of ours
// besides what everyone may (see everyone).
type room struct {
	floor   int
	imports []string
}

// The floors, from the ground up. A package imports only what is below it;
// floor 9 stands beside the tower, and only the roof sees it.
const (
	ground = iota
	floorStore
	floorMachine
	floorTransactions
	floorLayers
	floorPeers
	floorNode
	floorWeb
	floorProtocols
	floorDoors
	roof
)

// rooms is the table: package -> allowed imports. A package that is missing
// here, or gone from the tree, is a failure.
var rooms = map[string]room{
	"internal/archtest": {floor: ground},
	"internal/auth":     {floor: ground},
	"internal/dial":     {floor: ground},
	"internal/errs":     {floor: ground},
	"internal/freeport": {floor: ground},
	"internal/picture":  {floor: ground},
	"internal/pki":      {floor: ground},
	"internal/seal":     {floor: ground},
	"internal/tuple":    {floor: ground},
	"fsm/command":       {floor: ground},

	"store": {floor: floorStore},

	"fsm": {floor: floorMachine, imports: []string{"store"}},

	"backup": {floor: floorTransactions, imports: []string{"fsm"}},

	"backup/depot":    {floor: floorStore},
	"backup/schedule": {floor: floorLayers, imports: []string{"backup", "backup/depot"}},

	"kv":               {floor: floorTransactions, imports: []string{"fsm"}},
	"outgoing/smtp":    {floor: floorStore},
	"outgoing/webhook": {floor: floorStore, imports: []string{"internal/dial"}},

	"kv/feed":    {floor: floorTransactions, imports: []string{"fsm", "kv"}},
	"kv/memo":    {floor: floorTransactions, imports: []string{"kv"}},
	"kv/outbox":  {floor: floorTransactions, imports: []string{"kv", "kv/feed"}},
	"kv/posting": {floor: floorTransactions, imports: []string{"kv", "kv/outbox", "outgoing/webhook"}},
	"kv/kvtest":  {floor: floorTransactions, imports: []string{"fsm", "kv", "store"}},
	"kv/sealed":  {floor: floorTransactions, imports: []string{"kv"}},

	"layer/bucket":   {floor: floorLayers, imports: []string{"kv", "kv/feed", "kv/sealed"}},
	"layer/database": {floor: floorLayers, imports: []string{"kv"}},
	"layer/fleet":    {floor: floorLayers, imports: []string{"kv", "kv/sealed"}},
	"layer/vault":    {floor: floorLayers, imports: []string{"kv", "kv/posting", "kv/outbox", "kv/sealed", "kv/memo", "layer/vault/dotenv", "outgoing/webhook"}},

	"layer/vault/dotenv": {floor: floorLayers},

	"layer/collection":       {floor: floorLayers, imports: []string{"internal/dial", "kv", "kv/feed", "kv/posting", "kv/memo", "kv/outbox", "kv/sealed", "layer/collection/query", "outgoing/webhook"}},
	"layer/collection/query": {floor: floorLayers},

	"layer/collection/mail":     {floor: floorLayers, imports: []string{"kv", "kv/outbox", "layer/collection", "layer/collection/query"}},
	"layer/collection/media":    {floor: floorLayers, imports: []string{"kv", "layer/collection", "internal/picture"}},
	"layer/collection/realtime": {floor: floorLayers, imports: []string{"kv", "kv/feed", "layer/collection"}},

	"transport": {floor: floorPeers, imports: []string{"internal/pki"}},
	"cluster":   {floor: floorPeers},

	"cluster/events": {floor: floorPeers},
	"cluster/why":    {floor: floorPeers, imports: []string{"cluster/events"}},

	// What node stands on. These know Raft as node does, and nothing of ours but
	// each other.
	"node/checkpoint":    {floor: floorPeers},
	"node/logbridge":     {floor: floorPeers},
	"node/raftlog":       {floor: floorPeers, imports: []string{"node/logbridge"}},
	"node/room":          {floor: floorPeers},
	"node/rafttransport": {floor: floorPeers},
	"node/telemetry":     {floor: floorPeers},

	"node": {floor: floorNode, imports: []string{
		"backup", "cluster", "cluster/events", "cluster/why", "fsm", "kv", "store", "transport",
		"node/checkpoint", "node/folder", "node/logbridge", "node/raftlog", "node/rafttransport", "node/room", "node/telemetry",
	}},

	// The data folder, for a node and for what works on it while no node does.
	"node/folder":   {floor: floorNode, imports: []string{"cluster", "fsm", "store", "node/checkpoint"}},
	"node/recovery": {floor: floorNode, imports: []string{"cluster", "fsm", "store", "node/checkpoint", "node/folder", "node/raftlog"}},

	"httpapi/web": {floor: floorWeb},

	"httpapi/kvdb": {floor: floorProtocols, imports: []string{"httpapi/web", "kv", "kv/feed", "layer/bucket"}},

	"httpapi/keynest": {floor: floorProtocols, imports: []string{"httpapi/web", "kv", "layer/vault", "layer/vault/dotenv"}},

	"httpapi/kot": {floor: floorProtocols, imports: []string{"httpapi/web", "kv", "layer/database"}},

	"httpapi/restdb": {floor: floorProtocols, imports: []string{
		"httpapi/web", "internal/picture", "kv", "kv/feed", "layer/collection", "layer/collection/query",
		"layer/collection/mail", "layer/collection/media", "layer/collection/realtime",
	}},

	"httpapi/admin": {floor: floorProtocols, imports: []string{"backup", "cluster", "cluster/events", "cluster/why", "httpapi/web", "internal/pki", "layer/fleet", "kv", "kv/sealed", "layer/bucket", "layer/collection", "layer/vault"}},

	"httpapi": {floor: floorDoors, imports: []string{
		"httpapi/admin", "httpapi/keynest", "httpapi/kot", "httpapi/kvdb", "httpapi/restdb", "httpapi/web", "kv", "kv/feed", "kv/sealed",
		"layer/bucket", "layer/collection", "layer/database", "layer/vault",
	}},
	"client": {floor: floorDoors},

	"cmd/covey":        {floor: roof, imports: []string{"cmd/covey/cli"}},
	"cmd/covey/bench":  {floor: roof, imports: []string{"client"}},
	"cmd/covey/config": {floor: roof},
	"cmd/covey/demo":   {floor: roof, imports: []string{"client"}},
	"cmd/covey/doctor": {floor: roof, imports: []string{"client", "internal/pki", "node/folder", "node/room"}},
	"cmd/covey/nest":   {floor: roof, imports: []string{"client", "cmd/covey/config"}},
	"cmd/covey/output": {floor: roof},
	"test/e2e":         {floor: roof},
	"test/cluster":     {floor: roof, imports: []string{"internal/freeport"}},
	"test/monitoring":  {floor: roof},
	"test/packaging":   {floor: roof},
	"test/sdk":         {floor: roof},
	"cmd/covey/cli": {floor: roof, imports: []string{
		"backup", "backup/depot", "backup/schedule", "client", "cmd/covey/bench", "cmd/covey/config", "cmd/covey/demo", "cmd/covey/doctor", "cmd/covey/nest", "cmd/covey/output", "cmd/covey/server", "httpapi/keynest", "internal/pki", "layer/vault", "node/recovery", "node/room",
	}},
	"cmd/covey/server": {floor: roof, imports: []string{
		"backup", "backup/depot", "backup/schedule", "cluster", "cluster/events", "httpapi", "httpapi/keynest", "httpapi/kot", "httpapi/kvdb", "httpapi/web", "internal/pki", "kv", "kv/feed", "kv/posting", "kv/outbox", "kv/sealed", "httpapi/admin", "layer/bucket", "layer/collection", "layer/fleet",
		"layer/collection/mail", "layer/collection/media", "layer/vault", "node", "node/folder", "node/raftlog", "node/room", "outgoing/smtp", "outgoing/webhook",
		"cmd/covey/config",
	}},
}

// siblings are imports on one floor that are meant: a folder's own sub-packages
// and the bridge to our log.
var siblings = map[[2]string]bool{
	{"kv/outbox", "kv/feed"}:                            true,
	{"kv/posting", "kv/outbox"}:                         true,
	{"node", "node/folder"}:                             true,
	{"node/recovery", "node/folder"}:                    true,
	{"cluster/why", "cluster/events"}:                   true,
	{"node/raftlog", "node/logbridge"}:                  true,
	{"layer/collection", "layer/collection/query"}:      true,
	{"layer/vault", "layer/vault/dotenv"}:               true,
	{"layer/collection/mail", "layer/collection"}:       true,
	{"layer/collection/mail", "layer/collection/query"}: true,
	{"layer/collection/media", "layer/collection"}:      true,
	{"layer/collection/realtime", "layer/collection"}:   true,
}

// everyone is what any package may import of ours. The test packages among the
// ground floor are no part of it.
var everyone = []string{"internal/auth", "internal/errs", "internal/seal", "internal/tuple", "fsm/command"}

// closed lists packages that may not use even all of everyone: they are below
// it, or are to know nothing of it.
var closed = map[string][]string{
	"internal/auth":     {"internal/errs"},
	"internal/errs":     {},
	"internal/pki":      {"internal/errs"},
	"internal/seal":     {"internal/errs"},
	"internal/tuple":    {"internal/errs"},
	"internal/archtest": {},
	"fsm/command":       {"internal/errs"},
	"store":             {"internal/errs"},
	"fsm":               {"internal/errs", "internal/tuple", "fsm/command", "store"},
	"transport":         {"internal/errs"},
	"cluster":           {"internal/errs"},
	"client":            {"internal/errs", "internal/auth"},
}

// libraries says which packages may import a module that is not the standard
// library's. "node" stands for node and all below it, and so on. A module that
// is missing here may be imported by nobody but tests.
var libraries = map[string][]string{
	"github.com/cockroachdb/pebble/v2":                         {"store"},
	"github.com/hashicorp/raft":                                {"node"},
	"github.com/hashicorp/raft-boltdb/v2":                      {"node/raftlog"},
	"github.com/hashicorp/raft-wal":                            {"node/raftlog"},
	"go.etcd.io/bbolt":                                         {"node/raftlog"},
	"github.com/hashicorp/go-hclog":                            {"node"},
	"github.com/hashicorp/go-metrics":                          {"node/telemetry"},
	"github.com/armon/go-metrics":                              {"node/raftlog", "node/telemetry"},
	"github.com/hashicorp/memberlist":                          {"cluster"},
	"github.com/prometheus/client_golang":                      {"store", "cluster", "transport", "kv/outbox", "backup/schedule", "node", "httpapi", "cmd"},
	"github.com/gorilla/mux":                                   {"httpapi"},
	"github.com/hashicorp/go-immutable-radix/v2":               {"kv/feed"},
	"github.com/tidwall/gjson":                                 {"layer/collection"},
	"github.com/golang-jwt/jwt/v5":                             {"layer/collection"},
	"code.dny.dev/ssrf":                                        {"internal/dial"},
	"github.com/standard-webhooks/standard-webhooks/libraries": {"outgoing/webhook"},
	"github.com/ccojocar/zxcvbn-go":                            {"layer/vault"},
	"github.com/bep/imagemeta":                                 {"internal/picture"},
	"golang.org/x/image":                                       {"internal/picture"},
	"github.com/cbroglie/mustache":                             {"layer/collection/mail"},
	"github.com/gabriel-vasile/mimetype":                       {"layer/collection/media"},
	"github.com/wneessen/go-mail":                              {"outgoing/smtp"},
	"github.com/klauspost/compress":                            {"layer"},
	"github.com/minio/minio-go/v7":                             {"backup/depot"},
	"filippo.io/age":                                           {"backup", "cmd"},
	"golang.org/x/crypto":                                      {"internal"},
	"golang.org/x/sync":                                        {"kv/feed", "node", "httpapi"},
	"github.com/coreos/go-systemd/v22":                         {"cmd"},
	"golang.org/x/sys":                                         {"cmd"},
	"golang.org/x/text":                                        {"client"},
	"github.com/HdrHistogram/hdrhistogram-go":                  {"cmd"},
	"github.com/jedib0t/go-pretty/v6":                          {"cmd"},
	"github.com/knadh/koanf/v2":                                {"cmd"},
	"github.com/mattn/go-isatty":                               {"cmd"},
	"github.com/lmittmann/tint":                                {"cmd"},
	"github.com/spf13/cobra":                                   {"cmd"},
	"github.com/spf13/pflag":                                   {"cmd"},
	"go.yaml.in/yaml/v3":                                       {"cmd", "layer/vault"},
}

// purity is what a package may not do.
type purity struct {
	imports []string          // by the beginning of their path
	calls   map[string]string // functions by full name, and what they are
}

// pure lists the packages that every member must run alike. A row holds for the
// packages below it too, unless they have their own.
var pure = map[string]purity{
	"store":       {imports: outside, calls: unequal},
	"fsm":         {imports: outside, calls: joined(unequal, waiting)},
	"fsm/command": {imports: append([]string{"reflect", "encoding/json"}, outside...), calls: joined(unequal, waiting)},
}

// outside are the ways to what is not in the log.
var outside = []string{"os", "net", "math/rand", "crypto/rand", "io/ioutil", "path/filepath", "syscall"}

// unequal are functions whose result differs from member to member.
var unequal = map[string]string{
	"time.Now": "a clock", "time.Since": "a clock", "time.Until": "a clock",
	"maps.All": "a walk over a map", "maps.Keys": "a walk over a map", "maps.Values": "a walk over a map",
	"(*sync.Map).Range":        "a walk over a map",
	"(reflect.Value).MapRange": "a walk over a map", "(reflect.Value).MapKeys": "a walk over a map",
	"hash/maphash.MakeSeed": "a random seed", "hash/maphash.String": "a random seed", "hash/maphash.Bytes": "a random seed",
}

// waiting is what the store may do to pace its background work, as no time it
// measures gets into the state; the machine has nothing to wait for.
var waiting = map[string]string{
	"time.After": "a clock", "time.AfterFunc": "a clock", "time.Tick": "a clock",
	"time.NewTimer": "a clock", "time.NewTicker": "a clock",
}

func joined(a, b map[string]string) map[string]string {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}
