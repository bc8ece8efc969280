package collection

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// Sealed returns what the keyring has sealed for this layer: secrets among the
// settings, and the secrets and URLs of webhooks.
func (s *Store) Sealed() []sealed.Rows {
	settings := sealed.Rows{Name: "RestDB settings", Each: sealedSetting}
	settings.Lo, settings.Hi = tuple.Span(key(settingByte, 0))
	hooks := sealed.Rows{Name: "RestDB webhooks", Each: sealedHooks}
	hooks.Lo, hooks.Hi = tuple.Span(key(hookByte, 0))
	return []sealed.Rows{settings, hooks}
}

const sealedSettings = "RestDB settings"

// sealedSetting is the Each of settings.
func sealedSetting(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	db, rest, err := tuple.String(rec.Key[len(key(settingByte, 0)):])
	if err != nil {
		return nil, errs.E(errs.Internal, "the key of a setting is damaged")
	}
	name, _, err := tuple.String(rest)
	if err != nil {
		return nil, errs.E(errs.Internal, "the key of a setting is damaged")
	}
	if name == jwtSetting {
		return sealedToken(rec, db, visit)
	}
	value := rec.Value
	if !visit(sealed.Thing{Kind: sealedSettings, Which: "database " + db + ", " + name, Place: settingPlace(db, name), Sealed: &value}) {
		return nil, nil
	}
	return value, nil
}

// sealedToken is sealedSetting for the settings about tokens. What was verified
// with them stays verified: they are the same.
func sealedToken(rec kv.Record, db string, visit sealed.Visit) ([]byte, error) {
	row, err := decodeJSON[jwtRow](rec.Value)
	if err != nil || row.ClientSecret == nil {
		return nil, err
	}
	if !visit(sealed.Thing{
		Kind: sealedSettings, Which: "database " + db + ", " + SettingClientSecret,
		Place: settingPlace(db, SettingClientSecret), Sealed: &row.ClientSecret,
	}) {
		return nil, nil
	}
	if row.Since == 0 {
		row.Since = rec.Version
	}
	return encodeJSON(row), nil
}

// sealedHooks is the Each of webhooks, of which a record holds all of a database.
func sealedHooks(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	db, _, err := tuple.String(rec.Key[len(key(hookByte, 0)):])
	if err != nil {
		return nil, errs.E(errs.Internal, "the key of webhooks is damaged")
	}
	row, err := decodeJSON[hookRow](rec.Value)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, h := range row.Hooks {
		which := "database " + db + ", webhook " + h.ID
		url := visit(sealed.Thing{Kind: "webhook URLs", Which: which, Place: targetPlace(db, h.ID), Sealed: &h.Target})
		secret := visit(sealed.Thing{Kind: "webhook secrets", Which: which, Place: hookPlace(db, h.ID), Sealed: &h.Secret})
		changed = changed || url || secret
	}
	if !changed {
		return nil, nil
	}
	return encodeJSON(row), nil
}
