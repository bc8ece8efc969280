package vault

import "github.com/coveydb/covey/internal/tuple"

// The layer's keys, all below one byte:
//
//	'v' 'i' string(type)               -> the last id given to a type, decimal
//	'v' 'u' uint(user)                 -> user
//	'v' 'e' string(e-mail)             -> user's id; lower case
//	'v' 'n' string(username)           -> user's id; lower case
//	'v' 't' hash                       -> user's id, by the SHA-256 of the token
//	'v' 'o' uint(organization)         -> organization
//	'v' 'm' uint(organization) uint(user)    -> membership
//	'v' 's' uint(user) uint(organization)    -> nothing: the organizations of a user
//	'v' 'p' uint(project)              -> project
//	'v' 'P' uint(organization) uint(project) -> nothing
//	'v' 'w' uint(environment)          -> environment
//	'v' 'W' uint(project) uint(environment)  -> nothing
//	'v' 'N' uint(project) string(name) -> environment's id
//	'v' 'k' uint(environment) string(key)    -> variable
//	'v' 'K' uint(variable)             -> environment's id and key
//	'v' 'V' uint(environment) uint(variable) -> key, as it is
//	'v' 'x' uint(environment) uint(variable) uint(version) -> what the variable was
//	'v' 'c' string(what) uint(owner)   -> how many there are, a counter
//	'v' 'a' chain uint(number)         -> audit entry
//	'v' 'h' chain                      -> head of a chain
//	'v' 'q' name                       -> nothing: a Recorder asks others to give way
//	'v' 'T' hash                       -> service token's id, by the SHA-256 of the token
//	'v' 'y' uint(service token)        -> service token
//	'v' 'Y' uint(organization) uint(service token) -> nothing
//	'v' 'z' uint(service token)        -> when it was used last, see usesRow
//	'v' 'g' uint(webhook)              -> webhook
//	'v' 'G' uint(organization)         -> ids of its webhooks
//	'v' 'd' uint(webhook) uint(number) -> delivery that has ended, or was tried
//
// A chain is a byte, o or u, and the id of the organization or user.
const (
	layerByte         = 'v'
	idByte            = 'i'
	userByte          = 'u'
	emailByte         = 'e'
	usernameByte      = 'n'
	tokenByte         = 't'
	organizationByte  = 'o'
	membershipByte    = 'm'
	memberOfByte      = 's'
	projectByte       = 'p'
	projectsByte      = 'P'
	environmentByte   = 'w'
	environmentsByte  = 'W'
	nameByte          = 'N'
	variableByte      = 'k'
	variableIDByte    = 'K'
	variablesByte     = 'V'
	pastByte          = 'x'
	countByte         = 'c'
	auditByte         = 'a'
	headByte          = 'h'
	wayByte           = 'q'
	serviceHashByte   = 'T'
	serviceTokenByte  = 'y'
	serviceTokensByte = 'Y'
	serviceUsesByte   = 'z'
	hookByte          = 'g'
	hooksByte         = 'G'
	deliveryByte      = 'd'
)

// key begins a key of a kind, in a slice of its own with room for n more bytes.
func key(kind byte, n int) []byte { return append(make([]byte, 0, 2+n), layerByte, kind) }

// byID is the key of a row that is found by a number.
func byID(kind byte, id uint64) []byte { return tuple.AppendUint(key(kind, 9), id) }

// byIDs is the key of a row that is found by two numbers.
func byIDs(kind byte, a, b uint64) []byte {
	return tuple.AppendUint(tuple.AppendUint(key(kind, 18), a), b)
}

// pastKey is the key of a variable's old version.
func pastKey(environment, variable, version uint64) []byte {
	return tuple.AppendUint(tuple.AppendUint(tuple.AppendUint(key(pastByte, 27), environment), variable), version)
}

// byText is the key of a row that is found by a text.
func byText(kind byte, text string) []byte { return tuple.AppendString(key(kind, len(text)+3), text) }

// byIDText is the key of a row that is found by a number and a text.
func byIDText(kind byte, id uint64, text string) []byte {
	return tuple.AppendString(tuple.AppendUint(key(kind, len(text)+12), id), text)
}

func tokenKey(hash []byte) []byte { return append(key(tokenByte, len(hash)), hash...) }

func serviceHashKey(hash []byte) []byte { return append(key(serviceHashByte, len(hash)), hash...) }

func wayKey(name []byte) []byte { return append(key(wayByte, len(name)), name...) }

func countKey(what string, owner uint64) []byte {
	return tuple.AppendUint(byText(countByte, what), owner)
}
