package kvdb

import (
	"net/url"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

// maxForm bounds the forms of a policy and a token, whose fields are short.
const maxForm = 64 << 10

// create serves POST /. The answer's body is the id alone: clients use it so.
func (q *request) create() error {
	form, body, err := q.form()
	if err != nil {
		return err
	}
	name := form.Value("id")
	if err := q.Buckets.MayCreate(q.cred, name != ""); err != nil {
		return err
	}
	fields := q.fields(form)
	q.noCondition()
	once := q.once(body)
	if q.bad != nil {
		return q.bad
	}
	draft, err := q.Buckets.Draft(name, fields)
	if err != nil {
		return err
	}
	res, err := q.update(once, func(tx *kv.Tx) error { return q.Buckets.Create(tx, q.cred, draft) })
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.reply(contentTypes[formatText], res.Reply)
}

// changePolicy serves PATCH /BUCKET.
func (q *request) changePolicy() error {
	form, body, err := q.form()
	if err != nil {
		return err
	}
	q.noCondition()
	change, err := q.Buckets.Change(q.bucket, q.fields(form))
	q.note(err)
	once := q.once(body)
	res, err := q.change(bucket.ChangePolicy, once, func(b *bucket.Bucket) error {
		if q.bad != nil {
			return q.bad // there is no change to make
		}
		return b.ChangePolicy(change)
	})
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.empty()
}

// drop serves DELETE /BUCKET.
func (q *request) drop() error {
	q.noCondition()
	res, err := q.change(bucket.DeleteBucket, q.once(nil), (*bucket.Bucket).Drop)
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.empty()
}

// mint serves POST /BUCKET/tokens/. It changes nothing, but a policy that is
// behind must not grant: it always reads linearizably.
func (q *request) mint() error {
	form, _, err := q.form()
	if err != nil {
		return err
	}
	q.noCondition()
	grant := bucket.Grant{Prefix: []byte(form.Value("prefix"))}
	grant.Permissions, err = bucket.ParsePermissions(form.Value("permissions"))
	q.note(err)
	if text, ok := form.Lookup("ttl"); ok {
		grant.TTL, err = bucket.ParseTTL(text)
		q.note(err)
	}
	var token string
	info, err := q.view(bucket.Mint, kv.Consistency{}, func(_ *kv.Tx, b *bucket.Bucket) error {
		if q.bad != nil {
			return q.bad
		}
		var err error
		token, err = b.Mint(grant)
		return err
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	if f, ok := accepted(q.r.Header["Accept"]); ok && f == formatJSON {
		body := appendString([]byte(`{"access_token":`), []byte(token))
		return q.reply(contentTypes[formatJSON], append(body, '}'))
	}
	return q.reply(contentTypes[formatText], []byte("access_token="+url.QueryEscape(token)))
}

// form reads the body as a form or as a JSON object of the same fields.
func (q *request) form() (form web.Pairs, body []byte, err error) {
	body, err = q.body(min(q.MaxBody, maxForm))
	if err != nil {
		return nil, nil, err
	}
	form, err = parseForm(q.r.Header.Get("Content-Type"), body)
	q.note(err)
	return form, body, nil
}

// fields reads the fields of a policy. Other fields are ignored, among them
// email, which clients of the hosted service send.
func (q *request) fields(form web.Pairs) bucket.Fields {
	key := func(name string) *auth.Credential {
		text, ok := form.Lookup(name)
		if !ok {
			return nil
		}
		return &auth.Credential{Value: text}
	}
	f := bucket.Fields{
		Secret: key("secret_key"), Write: key("write_key"), Read: key("read_key"), Signing: key("signing_key"),
	}
	if text, ok := form.Lookup("default_ttl"); ok {
		ttl, err := bucket.ParseTTL(text)
		if err != nil {
			err = errs.E(errs.Invalid, "default_ttl: %w", err)
		}
		q.note(err)
		f.DefaultTTL = ttl
	}
	return f
}
