package admin

import (
	"context"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// setting is one setting in the list. Of a secret it is told only whether it
// is set.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret bool   `json:"secret,omitempty"`
	Set    bool   `json:"set"`
}

// listSettings answers the settings of the database and of the cluster.
func (c *call) listSettings() (any, error) {
	list := struct {
		Settings []setting `json:"settings"`
	}{Settings: []setting{}}
	var all []collection.Setting
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		all, err = c.Collections.Settings(tx, c.vars["db"])
		return err
	})
	for _, s := range all {
		list.Settings = append(list.Settings, setting(s))
	}
	return list, err
}

// setSetting sets a setting, or with an empty value takes it away.
func (c *call) setSetting() (any, error) {
	var body struct {
		Value *string `json:"value"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Value == nil {
		return nil, errs.E(errs.Invalid, "value is missing; an empty one takes the setting away")
	}
	change, err := c.Collections.NewSetting(c.vars["db"], c.vars["name"], *body.Value)
	if err != nil {
		return nil, err
	}
	return c.change(func(tx *kv.Tx) error { return c.Collections.Set(tx, change) })
}
