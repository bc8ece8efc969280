package vault

import (
	"strconv"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// Sealed returns what the keyring has sealed for this layer: the data keys of
// organizations, the tokens of users, and the URLs and secrets of webhooks. Values
// are not among it: they are sealed with data keys, and stay as they are when those
// are sealed anew.
func (s *Store) Sealed() []sealed.Rows {
	organizations := sealed.Rows{Name: "KeyNest organizations", Each: sealedOrganization}
	organizations.Lo, organizations.Hi = tuple.Span(key(organizationByte, 0))
	users := sealed.Rows{Name: "KeyNest users", Each: sealedUser}
	users.Lo, users.Hi = tuple.Span(key(userByte, 0))
	hooks := sealed.Rows{Name: "KeyNest webhooks", Each: sealedHook}
	hooks.Lo, hooks.Hi = tuple.Span(key(hookByte, 0))
	return []sealed.Rows{organizations, users, hooks}
}

// rowID reads the number in the key of a row.
func rowID(k []byte) (string, error) {
	id, _, err := tuple.Uint(k[len(key(0, 0)):])
	if err != nil {
		return "", damaged(err)
	}
	return strconv.FormatUint(id, 10), nil
}

// sealedOrganization is the Each of organizations.
func sealedOrganization(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	id, err := rowID(rec.Key)
	if err != nil {
		return nil, err
	}
	row, err := decode[organizationRow](rec.Value)
	if err != nil {
		return nil, err
	}
	changed := false
	for i := range row.Keys {
		k := &row.Keys[i]
		changed = visit(sealed.Thing{
			Kind: "KeyNest data keys", Which: "organization " + id, Place: dataKeyPlace(row.UID, k.ID), Sealed: &k.Wrapped,
		}) || changed
	}
	if !changed {
		return nil, nil
	}
	return encode(row), nil
}

// sealedUser is the Each of users.
func sealedUser(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	id, err := rowID(rec.Key)
	if err != nil {
		return nil, err
	}
	row, err := decode[userRow](rec.Value)
	if err != nil || row.Token == nil {
		return nil, err
	}
	if !visit(sealed.Thing{Kind: "KeyNest tokens", Which: "user " + id, Place: tokenPlace(row.UID), Sealed: &row.Token}) {
		return nil, nil
	}
	return encode(row), nil
}

// sealedHook is the Each of webhooks.
func sealedHook(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	id, err := rowID(rec.Key)
	if err != nil {
		return nil, err
	}
	row, err := decode[hookRow](rec.Value)
	if err != nil {
		return nil, err
	}
	which := "webhook " + id
	url := visit(sealed.Thing{Kind: "KeyNest webhook URLs", Which: which, Place: hookTargetPlace(row.UID), Sealed: &row.Target})
	secret := visit(sealed.Thing{Kind: "KeyNest webhook secrets", Which: which, Place: hookSecretPlace(row.UID), Sealed: &row.Secret})
	if !url && !secret {
		return nil, nil
	}
	return encode(row), nil
}
